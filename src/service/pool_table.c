/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool_object.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

static GHashTable *table_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)cst_volume_unref);
}

/* With the lock held: the sorted list is out of date. */
static void forget_order(CstPool *pool)
{
    pool->generation++;
    g_clear_pointer(&pool->sorted, g_ptr_array_unref);
}

/* With the lock held: what is known is no longer what a running scan or a sorted list says. */
static void note_change(CstPool *pool, const char *name)
{
    forget_order(pool);
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
    g_mutex_unlock(&pool->lock);
}

void pool_table_clear(CstPool *pool)
{
    GHashTable *old;

    g_mutex_lock(&pool->lock);
    old = pool->volumes;
    pool->volumes = table_new();
    pool->scanned = FALSE;
    forget_order(pool);
    g_mutex_unlock(&pool->lock);
    g_hash_table_unref(old);
}

/* --- scanning --------------------------------------------------------------------------------- */

typedef struct {
    CstPool *pool;
    GHashTable *found;
} Scan;

static CstVolume *scan_known(const char *name, gpointer data)
{
    CstPool *pool = ((Scan *)data)->pool;
    CstVolume *volume;

    g_mutex_lock(&pool->lock);
    volume = g_hash_table_lookup(pool->volumes, name);
    if (volume)
        cst_volume_ref(volume);
    g_mutex_unlock(&pool->lock);
    return volume;
}

static void scan_sink(CstVolume *volume, gpointer data)
{
    g_hash_table_replace(((Scan *)data)->found, volume->name, volume);
}

static void scan_begin(CstPool *pool)
{
    g_mutex_lock(&pool->lock);
    while (pool->scanning)
        g_cond_wait(&pool->cond, &pool->lock);
    pool->scanning = TRUE;
    pool->touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_mutex_unlock(&pool->lock);
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
        forget_order(pool);
    }
    g_clear_pointer(&pool->touched, g_hash_table_unref);
    pool->scanning = FALSE;
    g_cond_broadcast(&pool->cond);
    g_mutex_unlock(&pool->lock);
    if (old)
        g_hash_table_unref(old);
}

gboolean pool_table_scan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error)
{
    Scan context = {.pool = pool};
    CstScan scan = {.known = scan_known, .sink = scan_sink, .data = &context};

    scan_begin(pool);
    context.found = table_new();
    if (cst_pool_state_scan(state, &scan, task, error)) {
        scan_end(pool, context.found);
        return pool_usage_update(pool, state, error);
    }
    g_hash_table_unref(context.found);
    scan_end(pool, NULL);
    return FALSE;
}

gboolean pool_table_ensure(CstPool *pool, CstPoolState *state, GError **error)
{
    gboolean scanned;

    g_mutex_lock(&pool->lock);
    while (pool->scanning && !pool->scanned)
        g_cond_wait(&pool->cond, &pool->lock);
    scanned = pool->scanned;
    g_mutex_unlock(&pool->lock);
    return scanned || pool_refresh_table(pool, state, NULL, error);
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
    Scan context = {.pool = pool};
    g_autoptr(CstVolume) known = NULL;
    CstVolume *volume;

    g_mutex_lock(&pool->lock);
    g_hash_table_remove(pool->put_off, name);
    g_mutex_unlock(&pool->lock);
    known = scan_known(name, &context);
    if (!cst_pool_state_scan_one(state, name, known, &volume, error))
        return FALSE;
    if (!volume) {
        if (known)
            pool_table_remove(pool, name);
    } else if (volume != known) {
        g_mutex_lock(&pool->lock);
        put(pool, cst_volume_ref(volume));
        g_mutex_unlock(&pool->lock);
    }
    *ret_changed = volume != known;
    *ret_volume = volume;
    return TRUE;
}

CstVolume *pool_table_get(CstPool *pool, CstPoolState *state, const char *name, GError **error)
{
    Scan context = {.pool = pool};
    CstVolume *volume = scan_known(name, &context);

    return volume ? volume : pool_table_get_now(pool, state, name, error);
}

CstVolume *pool_table_get_now(CstPool *pool, CstPoolState *state, const char *name, GError **error)
{
    CstVolume *volume;

    if (!pool_table_look(pool, state, name, &volume, error))
        return NULL;
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

/* With the lock held: what there is, in no order. */
static GPtrArray *collect(CstPool *pool)
{
    GPtrArray *all =
        g_ptr_array_new_full(g_hash_table_size(pool->volumes), (GDestroyNotify)cst_volume_unref);
    GHashTableIter iter;
    gpointer volume;

    g_hash_table_iter_init(&iter, pool->volumes);
    while (g_hash_table_iter_next(&iter, NULL, &volume))
        g_ptr_array_add(all, cst_volume_ref(volume));
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

static gboolean is_based_on(const CstVolume *volume, const char *path)
{
    const char *backing = volume->extra ? volume->extra->backing_path : NULL;
    g_autofree char *clean = backing ? clean_path(backing) : NULL;

    return backing && strcmp(clean ? clean : backing, path) == 0;
}

gboolean pool_table_has_overlay(CstPool *pool, const char *path)
{
    GHashTableIter iter;
    gboolean found = FALSE;
    gpointer volume;

    g_mutex_lock(&pool->lock);
    g_hash_table_iter_init(&iter, pool->volumes);
    while (!found && g_hash_table_iter_next(&iter, NULL, &volume))
        found = is_based_on(volume, path);
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

        if (volume->extra && volume->extra->backing_path)
            note_overlay(overlays, volume->extra->backing_path,
                         g_strdup_printf("%s/%s", pool->name, volume->name));
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
