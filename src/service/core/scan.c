/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Brings a pool's table of volumes in line with its storage. Scans of the whole pool run one at a
 * time and in parallel with the work on volumes; scans of one name run before and after work on
 * that volume. No lock is held while storage is read.
 *
 * A whole scan fills a table of its own and swaps it in at its end. Names that change through us in
 * the meantime (pool->touched) keep the record from the current table, which is newer than what the
 * scan saw. A scan that fails leaves the table as it was. A scan of one name begins again when the
 * table has changed meanwhile (pool->name_scans). What a scan finds after the pool was stopped is
 * dropped.
 *
 * pool->deferred lists names whose change was reported while a writer had them, pool->stale names
 * that we have changed and could not scan since; the next look-up or listing scans the latter
 * again.
 */
#include "scan.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/log_context.h>
#include <base/test_point.h>

#include "draft.h"
#include "health.h"
#include "overlays.h"
#include "pool.h"
#include "service.h"
#include "space.h"
#include "table.h"
#include "trust.h"
#include "trust_sweep.h"

/* How often a wait asks whether the storage still answers. */
#define LOOK_US (100 * G_TIME_SPAN_MILLISECOND)

/* --- scanning --------------------------------------------------------------------------------- */

typedef struct {
    CstPool *pool;
    const char *dir; /* of the images; NULL: none */
    VolumeTable *found;
} Scan;

/*
 * CstScan.known: the record as it is; the backend returns it again when the file has not changed.
 */
static CstVolume *scan_known(const char *name, gpointer data)
{
    return pool_table_found(((Scan *)data)->pool, name);
}

/* CstScan.sink: takes the reference over. */
static void scan_sink(CstVolume *volume, gpointer data)
{
    Scan *scan = data;

    volume_table_set(scan->found, scan->dir, volume);
}

static gboolean fail_scanning(const CstPool *pool, GError **error)
{
    return cst_fail(error, CST_ERROR_BUSY,
                    _("storage pool '%s' is still being refreshed; its storage may not answer"),
                    pool->name);
}

/*
 * With the lock held: waits until no other scan runs. One that hangs with its storage never ends,
 * and the others fail with BUSY when their longest wait is over.
 */
static gboolean wait_for_scan(CstPool *pool, CstTask *task, GError **error)
{
    GError *why = NULL;
    gint64 since = 0;

    while (pool->scanning) {
        if (pool_wait(pool, task, &since, &why))
            continue;
        if (!why)
            return fail_scanning(pool, error);
        g_propagate_error(error, why);
        return FALSE;
    }
    return TRUE;
}

/* Acquires the right to scan; from here on changes through us are noted in pool->touched. */
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
static void keep_touched(CstPool *pool, VolumeTable *found)
{
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, pool->touched);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        CstVolume *current = volume_table_get(pool->volumes, name);

        if (current)
            volume_table_set(found, pool->def->target_path, cst_volume_ref(current));
        else
            volume_table_remove(found, name);
    }
}

/* With the lock held: has the scans of single names, which may have seen less, begin again. */
static void outdate_name_scans(CstPool *pool)
{
    for (guint i = 0; i < pool->name_scans->len; i++)
        ((NameScan *)g_ptr_array_index(pool->name_scans, i))->outdated = TRUE;
}

/*
 * Ends the scan; @found NULL: it failed. Takes the table over. What @state has found is dropped if
 * the pool was stopped meanwhile.
 */
static void scan_end(CstPool *pool, const CstPoolState *state, VolumeTable *found)
{
    VolumeTable *old = found;

    g_mutex_lock(&pool->lock);
    if (found && pool_state_is_current(pool, state)) {
        keep_touched(pool, found);
        outdate_name_scans(pool);
        old = pool->volumes;
        pool->volumes = found;
        pool->scanned = TRUE;
        pool->scanned_at = g_get_monotonic_time();
        pool_table_unsort(pool);
    }
    g_clear_pointer(&pool->touched, g_hash_table_unref);
    pool->scanning = FALSE;
    g_cond_broadcast(&pool->cond);
    g_mutex_unlock(&pool->lock);
    /* Thousands of records are freed outside of the lock, after the swap. */
    if (old)
        volume_table_free(old);
}

/*
 * A usage that is estimated spares the storage what it would cost to look, so the space of its
 * stores is not checked either.
 */
gboolean pool_usage_update(CstPool *pool, CstPoolState *state, GError **error)
{
    CstPoolUsage usage = CST_POOL_USAGE_UNKNOWN;
    gboolean current;

    if (!cst_pool_state_usage(state, &usage, error))
        return FALSE;
    CST_TEST_POINT("pool.usage.asked");
    g_mutex_lock(&pool->lock);
    current = pool_state_is_current(pool, state);
    if (current)
        pool->usage = usage;
    g_mutex_unlock(&pool->lock);
    if (!current)
        return TRUE;
    if (!usage.until)
        pool_check_space(pool, state);
    pool_check_health(pool, state);
    return TRUE;
}

gint64 pool_usage_due(CstPool *pool)
{
    gint64 due;

    g_mutex_lock(&pool->lock);
    due = pool->usage.until;
    g_mutex_unlock(&pool->lock);
    return due;
}

/* Before the table is published: trust_pin() marks the records, which nobody may do afterwards. */
static void pin_found(CstPool *pool, const CstPoolState *state, VolumeTable *found)
{
    guint count = 0;
    g_autofree gpointer *volumes = g_malloc_n(volume_table_size(found), sizeof(gpointer));
    GHashTableIter iter;
    gpointer volume;

    volume_table_iter_init(&iter, found);
    while (g_hash_table_iter_next(&iter, NULL, &volume))
        volumes[count++] = volume;
    trust_pin(pool, state, (CstVolume *const *)volumes, count);
}

/*
 * Neither pins nor declarations stop a scan: their failures are logged, and volumes stay
 * restricted.
 */
gboolean pool_scan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error)
{
    Scan context = {.pool = pool, .dir = state->def->target_path};
    CstScan scan = {.known = scan_known, .sink = scan_sink, .data = &context};
    g_autoptr(GPtrArray) overlays = NULL;

    if (!scan_begin(pool, task, error))
        return FALSE;
    overlays = overlays_before_scan(pool, state);
    context.found = volume_table_new();
    if (cst_pool_state_scan(state, &scan, task, error)) {
        pin_found(pool, state, context.found);
        trust_sweep(pool, state, context.found);
        CST_TEST_POINT("pool.scan.scanned");
        scan_end(pool, state, context.found);
        overlays_after_scan(pool, state, overlays);
        return pool_usage_update(pool, state, error);
    }
    volume_table_free(context.found);
    scan_end(pool, state, NULL);
    return FALSE;
}

/* The same as pool_set_problem(); without effect once the pool was stopped. */
static void set_problem_of(CstPool *pool, const CstPoolState *state, const char *problem,
                           gboolean inaccessible)
{
    g_mutex_lock(&pool->lock);
    if (pool_state_is_current(pool, state)) {
        g_free(pool->problem);
        pool->problem = g_strdup(problem);
        pool->inaccessible = inaccessible;
    }
    g_mutex_unlock(&pool->lock);
}

/* A scan may be answered from what is cached of storage that fails; the probe is not. */
static void note_success(CstPool *pool, CstPoolState *state)
{
    g_autoptr(GError) why = NULL;
    gboolean works = cst_pool_state_works(state, &why);

    set_problem_of(pool, state, works ? NULL : why->message, !works);
}

/*
 * A scan that was cancelled says nothing about the storage, so the pool keeps the problem it has.
 */
gboolean pool_rescan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error)
{
    GError *local = NULL;

    if (pool_scan(pool, state, task, &local)) {
        note_success(pool, state);
        pool_recover(pool, state);
        return TRUE;
    }
    if (!g_error_matches(local, CST_ERROR, CST_ERROR_CANCELLED)) {
        set_problem_of(pool, state, local->message, TRUE);
        pool_recover_later(pool, state);
    }
    g_propagate_error(error, local);
    return FALSE;
}

/* With the lock held. NULL, nearly always: there are none. */
static GStrv stale_names(CstPool *pool)
{
    g_autofree gpointer *keys = NULL;

    if (g_hash_table_size(pool->stale) == 0)
        return NULL;
    keys = g_hash_table_get_keys_as_array(pool->stale, NULL);
    return g_strdupv((char **)keys);
}

/* A volume that can't be scanned now either is shown as it was, and stays stale. */
static void rescan_stale(CstPool *pool, CstPoolState *state, char *const *names)
{
    for (guint i = 0; names && names[i]; i++) {
        g_autoptr(CstVolume) volume = NULL;

        pool_scan_volume(pool, state, names[i], &volume, NULL);
    }
}

/*
 * With the lock held: waits for the pool's first scan while another thread does it. Fails with
 * UNREACHABLE when that scan hangs with its storage, and with BUSY when @task, which may be NULL,
 * has waited as long as it may.
 */
static gboolean wait_for_first_scan(CstPool *pool, CstPoolState *state, CstTask *task,
                                    GError **error)
{
    gint64 since = 0;

    while (pool->scanning && !pool->scanned) {
        g_autoptr(GError) why = NULL;

        CST_TEST_POINT("pool.first_scan.wait");
        if (!cst_pool_state_answers(state, error))
            return FALSE;
        if (!task) {
            g_cond_wait_until(&pool->cond, &pool->lock, g_get_monotonic_time() + LOOK_US);
        } else if (!pool_wait(pool, task, &since, &why)) {
            if (!why)
                return fail_scanning(pool, error);
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
    }
    return TRUE;
}

/*
 * Waits for a first scan, as there is nothing to answer from. If that one fails, this caller scans,
 * and returns the error.
 */
gboolean pool_scan_if_new(CstPool *pool, CstPoolState *state, GError **error)
{
    const CstLogContext *context = cst_log_context();
    CstTask *task = context ? context->task : NULL;
    g_auto(GStrv) stale = NULL;
    gboolean scanned, waited;

    g_mutex_lock(&pool->lock);
    waited = wait_for_first_scan(pool, state, task, error);
    scanned = pool->scanned;
    stale = waited ? stale_names(pool) : NULL;
    g_mutex_unlock(&pool->lock);
    cst_task_set_waiting(task, FALSE);
    if (!waited)
        return FALSE;
    if (!scanned && !pool_rescan(pool, state, NULL, error))
        return FALSE;
    rescan_stale(pool, state, stale);
    return TRUE;
}

/* --- single volumes --------------------------------------------------------------------------- */

gboolean pool_scan_volume(CstPool *pool, CstPoolState *state, const char *name,
                          CstVolume **ret_volume, GError **error)
{
    gboolean changed;

    return pool_scan_volume_changed(pool, state, name, ret_volume, &changed, error);
}

gboolean pool_check_free(CstPool *pool, CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(CstVolume) existing = NULL;

    return pool_scan_volume(pool, state, name, &existing, error) &&
           (!existing || cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", name));
}

/* Notes that @scan runs, and returns a new reference to the record that the table has, or NULL. */
static CstVolume *name_scan_begin(CstPool *pool, NameScan *scan)
{
    CstVolume *known;

    g_mutex_lock(&pool->lock);
    /* Before the scan and not after it: a report that arrives during the scan must not get lost. */
    g_hash_table_remove(pool->deferred, scan->name);
    scan->outdated = FALSE;
    g_ptr_array_add(pool->name_scans, scan);
    known = volume_table_get(pool->volumes, scan->name);
    if (known)
        cst_volume_ref(known);
    g_mutex_unlock(&pool->lock);
    return known;
}

/*
 * Ends @scan, which @state has answered with @volume, and brings the table in line with it. FALSE:
 * the table has changed meanwhile, and what the scan saw may be older than that.
 */
static gboolean name_scan_end(CstPool *pool, const CstPoolState *state, NameScan *scan,
                              const CstVolume *known, CstVolume *volume)
{
    gboolean valid;

    g_mutex_lock(&pool->lock);
    g_ptr_array_remove_fast(pool->name_scans, scan);
    valid = !scan->outdated;
    if (valid && pool_state_is_current(pool, state)) {
        g_hash_table_remove(pool->stale, scan->name);
        /* The same pointer means that the backend found nothing changed. */
        if (volume != known)
            pool_table_set(pool, scan->name, volume ? cst_volume_ref(volume) : NULL);
    }
    g_mutex_unlock(&pool->lock);
    return valid;
}

/* Takes a scan that has failed off the list. */
static void name_scan_drop(CstPool *pool, NameScan *scan)
{
    g_mutex_lock(&pool->lock);
    g_ptr_array_remove_fast(pool->name_scans, scan);
    g_mutex_unlock(&pool->lock);
}

/* Scans again when the table has changed meanwhile: another thread has made or deleted it, say. */
gboolean pool_scan_volume_changed(CstPool *pool, CstPoolState *state, const char *name,
                                  CstVolume **ret_volume, gboolean *ret_changed, GError **error)
{
    NameScan scan = {.name = name};

    for (;;) {
        g_autoptr(CstVolume) known = name_scan_begin(pool, &scan);
        g_autoptr(CstVolume) volume = NULL;

        if (!cst_pool_state_scan_one(state, name, known, &volume, error)) {
            name_scan_drop(pool, &scan);
            return FALSE;
        }
        CST_TEST_POINT("volume.scan.scanned");
        if (volume && volume != known)
            trust_pin(pool, state, &volume, 1);
        if (name_scan_end(pool, state, &scan, known, volume)) {
            overlays_note(pool, state, known, volume);
            *ret_changed = volume != known;
            *ret_volume = g_steal_pointer(&volume);
            return TRUE;
        }
    }
}

void pool_rescan_volume(CstPool *pool, CstPoolState *state, const char *name)
{
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(GError) error = NULL;

    if (!pool_scan_volume(pool, state, name, &volume, &error)) {
        g_mutex_lock(&pool->lock);
        g_hash_table_add(pool->stale, g_strdup(name));
        g_mutex_unlock(&pool->lock);
        cst_log(CST_LOG_WARNING, "pool '%s': volume '%s' has changed and can't be looked at: %s",
                pool->name, name, error->message);
    }
    pool_usage_update(pool, state, NULL);
}

/* A stale record is not shown: it is scanned again, as one that is not known. */
CstVolume *pool_volume(CstPool *pool, CstPoolState *state, const char *name, GError **error)
{
    CstVolume *volume;

    g_mutex_lock(&pool->lock);
    volume = g_hash_table_contains(pool->stale, name) ? NULL : pool_table_find(pool, name);
    g_mutex_unlock(&pool->lock);
    return volume ? volume : pool_volume_now(pool, state, name, error);
}

/*
 * libvirt knows only what its last refresh found and what was made through it. With like_libvirt
 * other names do not exist, even if a file of that name does.
 */
static gboolean may_be_scanned(CstPool *pool, CstPoolState *state, const char *name, GError **error)
{
    g_autoptr(CstVolume) known = NULL;

    if (!pool->service->like_libvirt)
        return TRUE;
    if (!pool_scan_if_new(pool, state, error))
        return FALSE;
    known = pool_table_known(pool, name);
    return known || cst_fail_no_volume(name, error);
}

CstVolume *pool_volume_now(CstPool *pool, CstPoolState *state, const char *name, GError **error)
{
    CstVolume *volume;

    if (!may_be_scanned(pool, state, name, error) ||
        !pool_scan_volume(pool, state, name, &volume, error))
        return NULL;
    if (!volume)
        volume = volume_draft_now(pool, name);
    if (!volume)
        cst_fail_no_volume(name, error);
    return volume;
}
