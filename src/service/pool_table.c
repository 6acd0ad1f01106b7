/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

#include "service_private.h"
#include "trust.h"

static GHashTable *table_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)cst_volume_unref);
}

void pool_table_forget_order(CstPool *pool)
{
    pool->generation++;
    g_clear_pointer(&pool->sorted, g_ptr_array_unref);
}

/* With the lock held: what is known is no longer what a running scan or a sorted list says. */
static void note_change(CstPool *pool, const char *name)
{
    pool_table_forget_order(pool);
    if (pool->touched)
        g_hash_table_add(pool->touched, g_strdup(name));
}

/* With the lock held; takes the reference over. */
static void put(CstPool *pool, CstVolume *volume)
{
    note_change(pool, volume->name);
    g_hash_table_replace(pool->volumes, volume->name, volume);
}

void pool_table_remove(CstPool *pool, const char *name)
{
    g_mutex_lock(&pool->lock);
    note_change(pool, name);
    g_hash_table_remove(pool->volumes, name);
    g_hash_table_remove(pool->unseen, name);
    g_mutex_unlock(&pool->lock);
}

void pool_table_clear(CstPool *pool)
{
    GHashTable *old;

    g_mutex_lock(&pool->lock);
    old = pool->volumes;
    pool->volumes = table_new();
    pool->scanned = FALSE;
    g_hash_table_remove_all(pool->unseen);
    pool_table_forget_order(pool);
    g_mutex_unlock(&pool->lock);
    g_hash_table_unref(old);
}

/* --- scanning --------------------------------------------------------------------------------- */

typedef struct {
    CstPool *pool;
    GHashTable *found;
} Scan;

/* What was found on the storage. */
static CstVolume *found_before(CstPool *pool, const char *name)
{
    CstVolume *volume;

    g_mutex_lock(&pool->lock);
    volume = g_hash_table_lookup(pool->volumes, name);
    if (volume)
        cst_volume_ref(volume);
    g_mutex_unlock(&pool->lock);
    return volume;
}

/* With the lock held. */
static CstVolume *find_known(CstPool *pool, const char *name)
{
    CstVolume *volume = g_hash_table_lookup(pool->volumes, name);
    const VolumeDraft *draft = volume ? NULL : g_hash_table_lookup(pool->drafts, name);

    if (volume)
        return cst_volume_ref(volume);
    return draft ? cst_volume_ref(draft->volume) : NULL;
}

CstVolume *pool_table_known(CstPool *pool, const char *name)
{
    CstVolume *volume;

    g_mutex_lock(&pool->lock);
    volume = find_known(pool, name);
    g_mutex_unlock(&pool->lock);
    return volume;
}

static CstVolume *scan_known(const char *name, gpointer data)
{
    return found_before(((Scan *)data)->pool, name);
}

static void scan_sink(CstVolume *volume, gpointer data)
{
    g_hash_table_replace(((Scan *)data)->found, volume->name, volume);
}

/* With the lock held: until no other scan runs. Storage that hangs does not end one. */
static gboolean wait_for_scan(CstPool *pool, CstTask *task, GError **error)
{
    GError *why = NULL;
    gint64 since = 0;

    while (pool->scanning) {
        if (pool_wait(pool, task, &since, &why))
            continue;
        if (!why)
            return cst_fail(error, CST_ERROR_BUSY,
                            _("storage pool '%s' is still being refreshed; its storage may not "
                              "answer"),
                            pool->name);
        g_propagate_error(error, why);
        return FALSE;
    }
    return TRUE;
}

static gboolean scan_begin(CstPool *pool, CstTask *task, GError **error)
{
    gboolean ours;

    g_mutex_lock(&pool->lock);
    ours = wait_for_scan(pool, task, error);
    if (ours) {
        pool->scanning = TRUE;
        pool->touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    g_mutex_unlock(&pool->lock);
    cst_task_set_waiting(task, FALSE);
    return ours;
}

/* What changed through us while the scan ran is newer than what it saw. */
static void keep_touched(CstPool *pool, GHashTable *found)
{
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, pool->touched);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        CstVolume *current = g_hash_table_lookup(pool->volumes, name);

        if (current)
            g_hash_table_replace(found, current->name, cst_volume_ref(current));
        else
            g_hash_table_remove(found, name);
    }
}

/* Ends the scan; @found NULL: it failed. Takes the table over. */
static void scan_end(CstPool *pool, GHashTable *found)
{
    GHashTable *old = found;

    g_mutex_lock(&pool->lock);
    if (found) {
        keep_touched(pool, found);
        old = pool->volumes;
        pool->volumes = found;
        pool->scanned = TRUE;
        pool->scanned_at = g_get_monotonic_time();
        pool_table_forget_order(pool);
    }
    g_clear_pointer(&pool->touched, g_hash_table_unref);
    pool->scanning = FALSE;
    g_cond_broadcast(&pool->cond);
    g_mutex_unlock(&pool->lock);
    if (old)
        g_hash_table_unref(old);
}

/* The table is not published yet. */
static void pin_found(CstPool *pool, const CstPoolState *state, GHashTable *found)
{
    guint count = 0;
    g_autofree gpointer *volumes = g_malloc_n(g_hash_table_size(found), sizeof(gpointer));
    GHashTableIter iter;
    gpointer volume;

    g_hash_table_iter_init(&iter, found);
    while (g_hash_table_iter_next(&iter, NULL, &volume))
        volumes[count++] = volume;
    trust_pin(pool, state, (CstVolume *const *)volumes, count);
}

gboolean pool_table_scan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error)
{
    Scan context = {.pool = pool};
    CstScan scan = {.known = scan_known, .sink = scan_sink, .data = &context};

    if (!scan_begin(pool, task, error))
        return FALSE;
    context.found = table_new();
    if (cst_pool_state_scan(state, &scan, task, error)) {
        pin_found(pool, state, context.found);
        trust_sweep(pool, state, context.found);
        scan_end(pool, context.found);
        return pool_usage_update(pool, state, error);
    }
    g_hash_table_unref(context.found);
    scan_end(pool, NULL);
    return FALSE;
}

/* With the lock held. NULL, nearly always: there are none. */
static GStrv unseen_names(CstPool *pool)
{
    g_autofree gpointer *keys = NULL;

    if (g_hash_table_size(pool->unseen) == 0)
        return NULL;
    keys = g_hash_table_get_keys_as_array(pool->unseen, NULL);
    return g_strdupv((char **)keys);
}

/* What can't be looked at now either is shown as it was. */
static void look_at_all(CstPool *pool, CstPoolState *state, char *const *names)
{
    for (guint i = 0; names && names[i]; i++) {
        g_autoptr(CstVolume) volume = NULL;

        pool_table_look(pool, state, names[i], &volume, NULL);
    }
}

gboolean pool_table_ensure(CstPool *pool, CstPoolState *state, GError **error)
{
    g_auto(GStrv) unseen = NULL;
    gboolean scanned;

    g_mutex_lock(&pool->lock);
    while (pool->scanning && !pool->scanned)
        g_cond_wait(&pool->cond, &pool->lock);
    scanned = pool->scanned;
    unseen = unseen_names(pool);
    g_mutex_unlock(&pool->lock);
    if (!scanned && !pool_refresh_table(pool, state, NULL, error))
        return FALSE;
    look_at_all(pool, state, unseen);
    return TRUE;
}

/* --- single volumes --------------------------------------------------------------------------- */

gboolean pool_table_look(CstPool *pool, CstPoolState *state, const char *name,
                         CstVolume **ret_volume, GError **error)
{
    gboolean changed;

    return pool_table_compare(pool, state, name, ret_volume, &changed, error);
}

gboolean pool_table_compare(CstPool *pool, CstPoolState *state, const char *name,
                            CstVolume **ret_volume, gboolean *ret_changed, GError **error)
{
    g_autoptr(CstVolume) known = NULL;
    CstVolume *volume;

    g_mutex_lock(&pool->lock);
    g_hash_table_remove(pool->put_off, name);
    g_mutex_unlock(&pool->lock);
    known = found_before(pool, name);
    if (!cst_pool_state_scan_one(state, name, known, &volume, error))
        return FALSE;
    g_mutex_lock(&pool->lock);
    g_hash_table_remove(pool->unseen, name);
    g_mutex_unlock(&pool->lock);
    if (!volume) {
        if (known)
            pool_table_remove(pool, name);
    } else if (volume != known) {
        trust_pin(pool, state, &volume, 1);
        g_mutex_lock(&pool->lock);
        put(pool, cst_volume_ref(volume));
        g_mutex_unlock(&pool->lock);
    }
    *ret_changed = volume != known;
    *ret_volume = volume;
    return TRUE;
}

void pool_table_look_after_change(CstPool *pool, CstPoolState *state, const char *name)
{
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(GError) error = NULL;

    if (!pool_table_look(pool, state, name, &volume, &error)) {
        g_mutex_lock(&pool->lock);
        g_hash_table_add(pool->unseen, g_strdup(name));
        g_mutex_unlock(&pool->lock);
        cst_log(CST_LOG_WARNING, "pool '%s': volume '%s' has changed and can't be looked at: %s",
                pool->name, name, error->message);
    }
    pool_usage_update(pool, state, NULL);
}

CstVolume *pool_table_get(CstPool *pool, CstPoolState *state, const char *name, GError **error)
{
    CstVolume *volume;

    g_mutex_lock(&pool->lock);
    volume = g_hash_table_contains(pool->unseen, name) ? NULL : find_known(pool, name);
    g_mutex_unlock(&pool->lock);
    return volume ? volume : pool_table_get_now(pool, state, name, error);
}

/* libvirt knows what the last refresh has found and what was made through it, and no more. */
static gboolean may_be_looked_for(CstPool *pool, CstPoolState *state, const char *name,
                                  GError **error)
{
    g_autoptr(CstVolume) known = NULL;

    if (!pool->service->like_libvirt)
        return TRUE;
    if (!pool_table_ensure(pool, state, error))
        return FALSE;
    known = pool_table_known(pool, name);
    return known ||
           cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching name '%s'"), name);
}

CstVolume *pool_table_get_now(CstPool *pool, CstPoolState *state, const char *name, GError **error)
{
    CstVolume *volume;

    if (!may_be_looked_for(pool, state, name, error) ||
        !pool_table_look(pool, state, name, &volume, error))
        return NULL;
    if (!volume)
        volume = volume_draft_now(pool, name);
    if (!volume)
        cst_fail(error, CST_ERROR_NO_VOL, _("no storage vol with matching name '%s'"), name);
    return volume;
}

/* --- sorted ----------------------------------------------------------------------------------- */

static int compare_names(gconstpointer a, gconstpointer b)
{
    const CstVolume *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

/* With the lock held: how many drafts are not in the table as well, for the moment of a commit. */
static guint count_drafts(const CstPool *pool)
{
    guint count = 0;
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, pool->drafts);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        count += !g_hash_table_contains(pool->volumes, name);
    return count;
}

guint pool_table_count(CstPool *pool)
{
    guint count;

    g_mutex_lock(&pool->lock);
    count = g_hash_table_size(pool->volumes) + count_drafts(pool);
    g_mutex_unlock(&pool->lock);
    return count;
}

/* With the lock held: what there is, in no order. */
static GPtrArray *collect(CstPool *pool)
{
    GPtrArray *all =
        g_ptr_array_new_full(g_hash_table_size(pool->volumes), (GDestroyNotify)cst_volume_unref);
    GHashTableIter iter;
    gpointer name, draft, volume;

    g_hash_table_iter_init(&iter, pool->volumes);
    while (g_hash_table_iter_next(&iter, NULL, &volume))
        g_ptr_array_add(all, cst_volume_ref(volume));
    g_hash_table_iter_init(&iter, pool->drafts);
    while (g_hash_table_iter_next(&iter, &name, &draft))
        if (!g_hash_table_contains(pool->volumes, name))
            g_ptr_array_add(all, cst_volume_ref(((const VolumeDraft *)draft)->volume));
    return all;
}

/* Images may call what they are based on "/a/../b//c". NULL: it is clean as it is. */
static char *clean_path(const char *path)
{
    return g_path_is_absolute(path) && (strstr(path, "/.") || strstr(path, "//"))
               ? g_canonicalize_filename(path, NULL)
               : NULL;
}

static void note_overlay(GHashTable *overlays, const char *path, char *text)
{
    g_autofree char *clean = clean_path(path);
    GPtrArray *texts = g_hash_table_lookup(overlays, clean ? clean : path);

    if (!texts) {
        texts = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(overlays, clean ? g_steal_pointer(&clean) : g_strdup(path), texts);
    }
    g_ptr_array_add(texts, text);
}

static gboolean is_same_path(const char *reference, const char *path)
{
    g_autofree char *clean = clean_path(reference);

    return strcmp(clean ? clean : reference, path) == 0;
}

/* Path of the file with the guest's data; NULL: none, or none that is declared. */
static char *data_path(const CstPool *pool, const CstVolume *volume)
{
    const CstVolumeExtra *extra = volume->extra;

    return extra && extra->data_file && extra->data_trust != CST_TRUST_NONE
               ? g_canonicalize_filename(extra->data_file, pool->def->target_path)
               : NULL;
}

/* As far as that is declared: what an image merely claims holds nobody's volume. */
static gboolean is_based_on(const CstPool *pool, const CstVolume *volume, const char *path)
{
    g_autofree char *data = data_path(pool, volume);

    return (trust_has_backing(volume) && is_same_path(volume->extra->backing_path, path)) ||
           (data && strcmp(data, path) == 0);
}

gboolean pool_table_has_overlay(CstPool *pool, const char *path)
{
    GHashTableIter iter;
    gboolean found = FALSE;
    gpointer volume;

    g_mutex_lock(&pool->lock);
    g_hash_table_iter_init(&iter, pool->volumes);
    while (!found && g_hash_table_iter_next(&iter, NULL, &volume))
        found = is_based_on(pool, volume, path);
    g_mutex_unlock(&pool->lock);
    return found;
}

void pool_table_overlays(CstPool *pool, GHashTable *overlays)
{
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&pool->lock);
    g_hash_table_iter_init(&iter, pool->volumes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const CstVolume *volume = value;
        g_autofree char *data = data_path(pool, volume);

        if (trust_has_backing(volume))
            note_overlay(overlays, volume->extra->backing_path,
                         g_strdup_printf("%s/%s", pool->name, volume->name));
        if (data)
            note_overlay(overlays, data, g_strdup_printf("%s/%s", pool->name, volume->name));
    }
    g_mutex_unlock(&pool->lock);
}

GPtrArray *pool_table_sorted(CstPool *pool)
{
    GPtrArray *sorted;
    guint64 generation;

    g_mutex_lock(&pool->lock);
    if (pool->sorted) {
        sorted = g_ptr_array_ref(pool->sorted);
        g_mutex_unlock(&pool->lock);
        return sorted;
    }
    sorted = collect(pool);
    generation = pool->generation;
    g_mutex_unlock(&pool->lock);
    /* Sorting ten thousand names takes milliseconds that others need not wait. */
    g_ptr_array_sort(sorted, compare_names);
    g_mutex_lock(&pool->lock);
    if (!pool->sorted && pool->generation == generation)
        pool->sorted = g_ptr_array_ref(sorted);
    g_mutex_unlock(&pool->lock);
    return sorted;
}

gboolean pool_usage_update(CstPool *pool, CstPoolState *state, GError **error)
{
    CstPoolUsage usage = CST_POOL_USAGE_UNKNOWN;

    if (!cst_pool_state_usage(state, &usage, error))
        return FALSE;
    g_mutex_lock(&pool->lock);
    pool->usage = usage;
    g_mutex_unlock(&pool->lock);
    pool_look_at_rooms(pool, state);
    return TRUE;
}
