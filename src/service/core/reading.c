/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first scan after a start.
 *
 * A directory with a million images is read in minutes. So a daemon activates a pool of files
 * first, and scans it afterwards without a change of the pool. The order in memory:
 *
 * 1. pool_announce_reading() sets pool->reading and pool->unread, before the pool is active;
 * 2. the pool is active; lists wait while pool->reading is set (scan.c);
 * 3. the end of the scan publishes the table, records the references of the images, and clears
 *    pool->unread (scan.c);
 * 4. pool_read() clears pool->reading.
 *
 * While pool->unread is set, the records of references (overlays.h) may be incomplete, because no
 * scan has ever ended. A search for overlays must then not answer from these records.
 *
 * A stop of the pool aborts the scan, because the scan would keep a file system busy. After a crash
 * the state file exists with the mark of an unread pool, and the next daemon adopts and scans
 * the pool.
 */
#include "reading.h"

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "scan.h"
#include "service.h"

gboolean pool_is_read_late(const CstPool *pool, CstPoolState *state)
{
    return pool->service->mode == CST_SERVICE_DAEMON && !pool->service->like_libvirt &&
           !cst_dry_run() && cst_pool_state_holds_images(state);
}

void pool_announce_reading(CstPool *pool, CstTask *task)
{
    g_mutex_lock(&pool->lock);
    pool->reading = pool->unread = TRUE;
    pool->reading_aborted = FALSE;
    pool->reader = cst_task_ref(task);
    g_mutex_unlock(&pool->lock);
}

CstPoolState *pool_state_to_read(CstPool *pool, const CstTask *task)
{
    CstPoolState *state = NULL;

    g_mutex_lock(&pool->lock);
    if (pool->active && pool->reading && pool->reader == task)
        state = cst_pool_state_ref(pool->state);
    g_mutex_unlock(&pool->lock);
    return state;
}

void pool_forget_reading(CstPool *pool)
{
    g_mutex_lock(&pool->lock);
    pool->reading = pool->unread = FALSE;
    g_clear_pointer(&pool->reader, cst_task_unref);
    g_cond_broadcast(&pool->cond);
    g_mutex_unlock(&pool->lock);
}

/* Returns whether the first scan is still needed: no other scan has succeeded, and no stop runs. */
static gboolean reading_is_needed(CstPool *pool)
{
    gboolean needed;

    g_mutex_lock(&pool->lock);
    needed = !pool->scanned && !pool->reading_aborted;
    g_mutex_unlock(&pool->lock);
    return needed;
}

gboolean pool_read(CstPool *pool, CstPoolState *state, CstTask *task, gboolean *ret_aborted,
                   GError **error)
{
    gboolean done;

    CST_TEST_POINT("pool.read.begins");
    done = !reading_is_needed(pool) || pool_scan(pool, state, task, error);
    g_mutex_lock(&pool->lock);
    /* After a stop, the announcement may belong to the next start. */
    *ret_aborted = pool->reader != task || pool->reading_aborted;
    if (pool->reader == task) {
        pool->reading = FALSE;
        g_clear_pointer(&pool->reader, cst_task_unref);
        g_cond_broadcast(&pool->cond);
    }
    g_mutex_unlock(&pool->lock);
    return done;
}

void pool_abort_reading(CstPool *pool, CstPoolState *state, CstTask *task)
{
    gint64 since = 0;

    g_mutex_lock(&pool->lock);
    if (pool->reading) {
        pool->reading_aborted = TRUE;
        cst_task_cancel(pool->reader);
    }
    while (pool->reading && cst_pool_state_answers(state, NULL) &&
           pool_wait(pool, task, &since, NULL))
        CST_TEST_POINT("pool.abort_reading.waited");
    g_mutex_unlock(&pool->lock);
    cst_task_set_waiting(task, FALSE);
}

/*
 * Returns whether the references of the pool's images may be missing from the records. BUSY means
 * that a scan has not ended within the caller's maximal wait.
 */
static gboolean references_may_be_missing(CstPool *pool, CstPoolState *state, const GError *why)
{
    gboolean missing;

    g_mutex_lock(&pool->lock);
    missing = pool_state_is_current(pool, state) &&
              (pool->unread || g_error_matches(why, CST_ERROR, CST_ERROR_BUSY));
    g_mutex_unlock(&pool->lock);
    return missing;
}

gboolean pool_scan_for_overlays(CstPool *pool, CstPoolState *state, gboolean *ret_known,
                                GError **error)
{
    g_autoptr(GError) why = NULL;

    *ret_known = pool_scan_if_new(pool, state, &why);
    if (*ret_known)
        return TRUE;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return !references_may_be_missing(pool, state, why) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("cannot search storage pool '%s' for images based on the volume: %s; try "
                      "again when the pool has been read, or stop it (pool-stop)"),
                    pool->name, why->message);
}
