/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Updates a pool's table of volumes from its storage. Scans of the whole pool run one at a time and
 * in parallel with operations on volumes. Scans of one name run before and after operations on that
 * volume. No lock is held during storage I/O.
 *
 * A whole scan fills a new table and swaps it in at its end. Names that this service changes during
 * the scan (pool->touched) keep their records from the current table, which are newer. A failed
 * scan leaves the table unchanged. A scan of one name restarts if the table has changed since its
 * beginning (pool->name_scans). The results of a scan are dropped if the pool was stopped during
 * the scan.
 *
 * The set pool->deferred contains names that were reported as changed while a writer had claimed
 * them. The set pool->stale contains names that this service has changed and could not rescan. The
 * next lookup or list scans them again.
 */
#include "scan.h"

#include <malloc.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/log_context.h>
#include <base/test_point.h>
#include <store/pool_files.h>

#include "draft.h"
#include "health.h"
#include "kept_snapshots.h"
#include "overlays.h"
#include "pool.h"
#include "service.h"
#include "space.h"
#include "table.h"
#include "trust.h"
#include "trust_sweep.h"

/* Maximal age of sizes in a list with details. Older sizes are scanned again. */
#define LISTING_MAX_AGE_US G_TIME_SPAN_SECOND

/* A scan that finds that many volumes more than the table has returns its working memory. */
#define TRIM_FROM 4096

/* Interval at which a wait checks that the storage still answers. */
#define LOOK_US (100 * G_TIME_SPAN_MILLISECOND)

/* --- scanning --------------------------------------------------------------------------------- */

typedef struct {
    CstPool *pool;
    const char *dir; /* of the images; NULL: not a directory of images */
    VolumeTable *found;
} Scan;

/*
 * Implements CstScan.known: returns the existing record. The backend returns it again if the file
 * has not changed.
 */
static CstVolume *scan_known(const char *name, gpointer data)
{
    return pool_table_found(((Scan *)data)->pool, name);
}

/* Implements CstScan.sink. Consumes the reference. */
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
 * Waits until no other scan runs. A scan that blocks on its storage never ends; waiting scans then
 * fail with BUSY when the task's maximal wait is over. Requires the lock.
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

/*
 * Acquires the right to scan. From here on changes by this service are recorded in pool->touched.
 */
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

/* Changes by this service during the scan are newer than the result of the scan. */
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

/*
 * Makes the scans of single names restart, because their results may be older. Requires the lock.
 */
static void outdate_name_scans(CstPool *pool)
{
    for (guint i = 0; i < pool->name_scans->len; i++)
        ((NameScan *)g_ptr_array_index(pool->name_scans, i))->outdated = TRUE;
}

/*
 * Ends the scan. Consumes @found; NULL: the scan failed. Drops the results if the pool was stopped
 * during the scan.
 */
static void scan_end(CstPool *pool, const CstPoolState *state, VolumeTable *found)
{
    VolumeTable *old = found;
    guint size = found ? volume_table_size(found) : 0;

    g_mutex_lock(&pool->lock);
    if (found && pool_state_is_current(pool, state)) {
        keep_touched(pool, found);
        outdate_name_scans(pool);
        old = pool->volumes;
        pool->volumes = found;
        kept_snapshots_outdate(pool->kept);
        pool->scanned = TRUE;
        pool->scanned_at = g_get_monotonic_time();
        pool_table_unsort(pool);
    }
    g_clear_pointer(&pool->touched, g_hash_table_unref);
    pool->scanning = FALSE;
    g_cond_broadcast(&pool->cond);
    g_mutex_unlock(&pool->lock);
    if (!old)
        return;
    /* Free the records without the lock, because they may be thousands. */
    if (size >= volume_table_size(old) + TRIM_FROM) {
        volume_table_free(old);
        malloc_trim(0);
        CST_TEST_POINT("pool.scan.trimmed");
    } else {
        volume_table_free(old);
    }
}

/*
 * An estimated usage avoids expensive queries. Therefore the space of the thin stores is not
 * checked in that case either.
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

/*
 * Must run before the table is published, because trust_pin() marks the records and published
 * records are immutable.
 */
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
 * The references of all images are recorded (core/reading.h). A stop and a start since the scan
 * have written a new mark, under the lock of the definitions. This mark stays.
 */
static void scan_end_unread(CstPool *pool, const CstPoolState *state)
{
    CstService *service = pool->service;
    gboolean was_unread = FALSE, current;

    g_mutex_lock(&pool->lock);
    if (pool_state_is_current(pool, state)) {
        was_unread = pool->unread;
        pool->unread = FALSE;
    }
    g_mutex_unlock(&pool->lock);
    if (!was_unread || cst_dry_run())
        return;
    CST_TEST_POINT("pool.scan.read");
    g_rec_mutex_lock(&service->definitions);
    g_mutex_lock(&pool->lock);
    current = pool_state_is_current(pool, state);
    g_mutex_unlock(&pool->lock);
    if (current)
        cst_pool_unread_remove(service->paths, pool->name, NULL);
    g_rec_mutex_unlock(&service->definitions);
}

/*
 * Failures of pins and declarations do not fail a scan. They are logged, and the volumes stay
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
        scan_end_unread(pool, state);
        return pool_usage_update(pool, state, error);
    }
    volume_table_free(context.found);
    scan_end(pool, state, NULL);
    return FALSE;
}

/* A scan of failing storage may succeed from caches. cst_pool_state_works() bypasses them. */
static void note_success(CstPool *pool, CstPoolState *state)
{
    g_autoptr(GError) why = NULL;
    gboolean works = cst_pool_state_works(state, &why);

    pool_set_problem_of(pool, state, works ? NULL : why->message, !works);
}

/* A cancelled scan gives no information about the storage, so the pool keeps its problem. */
gboolean pool_rescan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error)
{
    GError *local = NULL;

    if (pool_scan(pool, state, task, &local)) {
        note_success(pool, state);
        pool_recover(pool, state);
        return TRUE;
    }
    if (!g_error_matches(local, CST_ERROR, CST_ERROR_CANCELLED)) {
        pool_set_problem_of(pool, state, local->message, TRUE);
        pool_recover_later(pool, state);
    }
    g_propagate_error(error, local);
    return FALSE;
}

/*
 * Returns a copy of the stale names. Returns NULL if there are no stale names, which is the usual
 * case. Requires the lock.
 */
static GStrv stale_names(CstPool *pool)
{
    g_autofree gpointer *keys = NULL;

    if (g_hash_table_size(pool->stale) == 0)
        return NULL;
    keys = g_hash_table_get_keys_as_array(pool->stale, NULL);
    return g_strdupv((char **)keys);
}

/* Rescans stale volumes. If that fails, the volume is shown with its old record and stays stale. */
static void rescan_stale(CstPool *pool, CstPoolState *state, char *const *names)
{
    for (guint i = 0; names && names[i]; i++) {
        g_autoptr(CstVolume) volume = NULL;

        pool_scan_volume(pool, state, names[i], &volume, NULL);
    }
}

/*
 * Waits while another thread does the pool's first scan, or has announced it (reading.h). @task may
 * be NULL. Requires the lock. Errors: UNREACHABLE when the scan blocks on its storage, BUSY when
 * the maximal wait of @task is over.
 */
static gboolean wait_for_first_scan(CstPool *pool, CstPoolState *state, CstTask *task,
                                    GError **error)
{
    gint64 since = 0;

    while ((pool->scanning || pool->reading) && !pool->scanned) {
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
 * Waits for a running first scan, because the table is empty until then. If that scan fails, this
 * caller scans and returns its own error.
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

gboolean pool_rescan_aged(CstPool *pool, CstPoolState *state, GError **error)
{
    gboolean fresh;

    if (!pool_scan_if_new(pool, state, error))
        return FALSE;
    g_mutex_lock(&pool->lock);
    fresh = pool->inaccessible || pool->service->like_libvirt ||
            g_get_monotonic_time() - pool->scanned_at < LISTING_MAX_AGE_US;
    g_mutex_unlock(&pool->lock);
    return fresh || pool_rescan(pool, state, NULL, error);
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

/* Registers @scan as running. Returns a new reference to the record in the table, or NULL. */
static CstVolume *name_scan_begin(CstPool *pool, NameScan *scan)
{
    CstVolume *known;

    g_mutex_lock(&pool->lock);
    /*
     * Remove the name before the scan, so that a report that arrives during the scan is not lost.
     */
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
 * Ends @scan, and updates the table with its result @volume from @state. Returns FALSE if the table
 * has changed since the scan began, so that the result may be outdated.
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
        /* The backend returns the same pointer if the volume has not changed. */
        if (volume != known)
            pool_table_set(pool, scan->name, volume ? cst_volume_ref(volume) : NULL);
    }
    g_mutex_unlock(&pool->lock);
    return valid;
}

/* Unregisters a scan that has failed. */
static void name_scan_drop(CstPool *pool, NameScan *scan)
{
    g_mutex_lock(&pool->lock);
    g_ptr_array_remove_fast(pool->name_scans, scan);
    g_mutex_unlock(&pool->lock);
}

/*
 * Scans again if the table has changed during the scan, for example because another thread created
 * or deleted the volume.
 */
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

    kept_snapshots_changed(pool, name);
    if (!pool_scan_volume(pool, state, name, &volume, &error)) {
        g_mutex_lock(&pool->lock);
        g_hash_table_add(pool->stale, g_strdup(name));
        g_mutex_unlock(&pool->lock);
        cst_log(CST_LOG_WARNING, "pool '%s': volume '%s' has changed and can't be looked at: %s",
                pool->name, name, error->message);
    }
    pool_usage_update(pool, state, NULL);
}

/* A stale record is not returned. The volume is scanned again, like an unknown volume. */
CstVolume *pool_volume(CstPool *pool, CstPoolState *state, const char *name, GError **error)
{
    CstVolume *volume;

    g_mutex_lock(&pool->lock);
    volume = g_hash_table_contains(pool->stale, name) ? NULL : pool_table_find(pool, name);
    g_mutex_unlock(&pool->lock);
    return volume ? volume : pool_volume_now(pool, state, name, error);
}

/*
 * libvirt knows only volumes that its last refresh found or that were created through it. With
 * like_libvirt other names do not exist, even if a file of that name does.
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
