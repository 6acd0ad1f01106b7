/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A watched pool: pending reports, and their processing by a worker.
 */
#include "watch.h"

#include <base/log.h>
#include <base/log_context.h>

#include "core/claim.h"
#include "core/events.h"
#include "core/health.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/space.h"
#include "core/table.h"
#include "volume/delete/trash.h"

/*
 * A report without a name requires a scan of the whole pool. Often its cause is a change by this
 * service, which is already known. The scan is delayed, so that it does not hinder the next change.
 * The delay is UNNAMED_SCANS times the duration of the previous scan, so that a large pool is not
 * scanned continuously.
 */
#define UNNAMED_MIN_MS 1000
#define UNNAMED_MAX_MS 8000
#define UNNAMED_SCANS  4
/*
 * A scan of one new file writes one record to the disk, which takes as long as a whole scan of many
 * known files. A whole scan writes all records in one transaction. Therefore the whole pool is
 * scanned if more than one in CHANGED_SHARE volumes has changed.
 */
#define CHANGED_MIN   64
#define CHANGED_SHARE 16
/* Scan interval of a pool without its storage. */
#define RETRY_MS 5000
/* Check interval of space that may fill up while guests write, because no watch reports it. */
#define SPACE_MS 10000
/* Query interval of storage that reports its health, which is cheap. */
#define HEALTH_MS 3000
/* Check interval of deleted volumes for the end of their retention. */
#define TRASH_MS (10 * 60 * 1000)
/* Retry interval of that check while the pool is being changed. */
#define TRASH_AGAIN_MS 1000

void watch_free(Watch *watch)
{
    cst_pool_state_watch_close(watch->state, &watch->fd);
    g_hash_table_unref(watch->changed);
    cst_pool_state_unref(watch->state);
    cst_pool_unref(watch->pool);
    g_free(watch);
}

/* --- reports ---------------------------------------------------------------------------------- */

/* Receives a changed name from cst_pool_state_watch_read(). NULL: any volume may have changed. */
static void note_changed(const char *name, gpointer data)
{
    Watch *watch = data;

    if (name)
        g_hash_table_add(watch->changed, g_strdup(name));
    else if (!watch->unnamed_due)
        watch->unnamed_due =
            g_get_monotonic_time() +
            CLAMP(UNNAMED_SCANS * watch->scan_us, UNNAMED_MIN_MS * 1000, UNNAMED_MAX_MS * 1000);
}

/*
 * With like_libvirt the table changes only when a client refreshes the pool. Then only the presence
 * of the storage is watched.
 */
static void drop_unless_wanted(Watch *watch)
{
    if (watch->pool->service->like_libvirt)
        cst_pool_state_watch_close(watch->state, &watch->fd);
}

/* Returned storage is another directory than the watched one. */
static gboolean renew_watch(Watch *watch)
{
    int fd = cst_pool_state_watch_open(watch->state, NULL);

    if (fd < 0)
        return FALSE;
    cst_pool_state_watch_close(watch->state, &watch->fd);
    watch->fd = fd;
    drop_unless_wanted(watch);
    return TRUE;
}

/*
 * Returns whether the pool is being changed. Stopping may make its storage unavailable before the
 * pool is inactive.
 */
static gboolean is_changing(const Watch *watch)
{
    gboolean changing;

    g_mutex_lock(&watch->pool->lock);
    changing = watch->pool->changing;
    g_mutex_unlock(&watch->pool->lock);
    return changing;
}

/*
 * Scans the whole pool. The watch is renewed before the scan, so that no change is missed in
 * between.
 */
static gboolean watch_rescan_pool(Watch *watch)
{
    gboolean watched = !watch->lost || renew_watch(watch);
    gint64 started = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    if (pool_rescan(watch->pool, watch->state, NULL, &error)) {
        watch->scan_us = g_get_monotonic_time() - started;
        /*
         * Either the storage returned after the first attempt, or the limit of inotify watches is
         * reached.
         */
        if (!watched && !renew_watch(watch))
            cst_log(CST_LOG_WARNING, "pool '%s': changes are not seen", watch->pool->name);
        watch->lost = FALSE;
        return TRUE;
    }
    if (is_changing(watch))
        return FALSE;
    if (!watch->lost)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", watch->pool->name, error->message);
    watch->lost = TRUE;
    return FALSE;
}

/*
 * Scans the reported names. Returns TRUE if the table was outdated. Changes by this service are
 * reported as well; for them the table is already up to date.
 */
static gboolean rescan_changed(Watch *watch)
{
    gboolean any = FALSE;
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, watch->changed);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_autoptr(CstVolume) volume = NULL;
        gboolean changed = FALSE;

        if (volume_defer_rescan(watch->pool, name))
            continue;
        /*
         * The storage may be missing. watch_read_changes() scans the whole pool, and records that
         * the storage is lost.
         */
        if (!pool_scan_volume_changed(watch->pool, watch->state, name, &volume, &changed, NULL)) {
            watch->all = TRUE;
            return FALSE;
        }
        any = any || changed;
    }
    if (any)
        pool_usage_update(watch->pool, watch->state, NULL);
    return any;
}

static gboolean many_changed(const Watch *watch)
{
    guint changed = g_hash_table_size(watch->changed);

    return changed > CHANGED_MIN && changed > pool_table_count(watch->pool) / CHANGED_SHARE;
}

/* Reads the reports since the last call, and updates the table accordingly. */
static void watch_read_changes(Watch *watch)
{
    gboolean was_lost = watch->lost;
    gboolean changed;

    if (watch->fd >= 0)
        cst_pool_state_watch_read(watch->state, watch->fd, note_changed, watch);
    if (watch->unnamed_due && watch->unnamed_due <= g_get_monotonic_time())
        watch->all = TRUE;
    watch->all = watch->all || many_changed(watch);
    changed = !watch->all && rescan_changed(watch);
    g_hash_table_remove_all(watch->changed);
    watch->due = watch->unnamed_due;
    if (watch->all) {
        watch->unnamed_due = 0;
        watch->all = !watch_rescan_pool(watch);
        watch->due = watch->all ? g_get_monotonic_time() + RETRY_MS * 1000 : 0;
        /* Missing storage was reported already. */
        changed = !was_lost || !watch->lost;
    }
    if (changed)
        event_emit_pool(watch->pool, CST_EVENT_POOL_REFRESH, 0);
}

/*
 * Makes the pool due at once if its storage has disappeared or returned. Called after a change of
 * the mounts.
 */
static void check_storage(Watch *watch)
{
    gboolean active = FALSE;

    if (!cst_pool_state_check(watch->state, &active, NULL) || active != watch->lost)
        return;
    watch->all = TRUE;
    watch->due = g_get_monotonic_time();
}

/* Estimates expire, even without a watch that reports changes by other programs. */
static void check_usage(Watch *watch)
{
    gint64 due = pool_usage_due(watch->pool);

    if (due && due <= g_get_monotonic_time())
        pool_usage_update(watch->pool, watch->state, NULL);
}

/* Clients that watch the pool's state get an event for a change. */
static void check_health(Watch *watch)
{
    if (pool_check_health(watch->pool, watch->state))
        event_emit_pool(watch->pool, CST_EVENT_POOL_REFRESH, 0);
    watch->health_due = cst_pool_state_has_health(watch->state)
                            ? g_get_monotonic_time() + HEALTH_MS * 1000
                            : G_MAXINT64;
}

static void check_space(Watch *watch)
{
    if (pool_has_limited_space(watch->pool))
        pool_check_space(watch->pool, watch->state);
    watch->space_due = g_get_monotonic_time() + SPACE_MS * 1000;
}

static void watch_expire_trash(Watch *watch)
{
    gboolean changing = is_changing(watch);

    if (!changing)
        trash_expire(watch->pool, watch->state);
    watch->trash_due =
        g_get_monotonic_time() + (changing ? TRASH_AGAIN_MS : TRASH_MS) * G_GINT64_CONSTANT(1000);
}

gboolean watch_is_alive(const Watch *watch)
{
    gboolean alive;

    g_mutex_lock(&watch->pool->lock);
    alive = watch->pool->state == watch->state;
    g_mutex_unlock(&watch->pool->lock);
    return alive;
}

/*
 * Sets the problem in every call that finds one, because a scan that began earlier may have
 * succeeded in between and cleared it.
 */
gboolean watch_ask(Watch *watch)
{
    g_autoptr(GError) error = NULL;
    gboolean was_broken = watch->broken;

    watch->broken = !cst_pool_state_works(watch->state, &error);
    if (watch->broken)
        pool_set_problem(watch->pool, error->message, TRUE);
    if (watch->broken != was_broken)
        watch->back = was_broken;
    return watch->broken && !was_broken;
}

/* --- for the monitor -------------------------------------------------------------------------- */

Watch *watch_new(CstPool *pool, CstPoolState *state, guint mounts)
{
    g_autoptr(GError) error = NULL;
    Watch *watch;
    int fd = cst_pool_state_watch_open(state, &error);

    /* Pools of this type need no watch, and have no trash. */
    if (fd < 0 && !error && !cst_pool_state_may_hang(state) && !cst_pool_state_has_health(state) &&
        !cst_pool_state_check_trash(state, NULL))
        return NULL;
    if (error)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
    watch = g_new0(Watch, 1);
    /* Missing storage cannot be watched. It is scanned periodically. */
    watch->lost = watch->all = error != NULL;
    watch->due = error ? g_get_monotonic_time() + RETRY_MS * 1000 : 0;
    watch->mounts = mounts;
    watch->pool = cst_pool_ref(pool);
    watch->state = cst_pool_state_ref(state);
    watch->health_due = cst_pool_state_has_health(state) ? 0 : G_MAXINT64;
    watch->fd = fd;
    drop_unless_wanted(watch);
    watch->changed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return watch;
}

/* Returns the count of mount changes up to which the storage has to be checked. */
static guint mounts_for(const Watch *watch, guint mounts)
{
    return cst_pool_state_is_on_mounts(watch->state) ? mounts : watch->mounts;
}

gint64 watch_due(const Watch *watch, guint mounts)
{
    gint64 due = watch->due ? watch->due : G_MAXINT64;
    gint64 usage_due = pool_usage_due(watch->pool);

    if (mounts_for(watch, mounts) != watch->mounts)
        return 0;
    if (usage_due)
        due = MIN(due, usage_due);
    due = MIN(due, MIN(watch->health_due, watch->trash_due));
    return pool_has_limited_space(watch->pool) ? MIN(due, watch->space_due) : due;
}

void watch_check(Watch *watch, guint mounts)
{
    CstLogContext log = {0};

    cst_log_push(&log);
    cst_log_set_pool(watch->pool->name);
    if (mounts_for(watch, mounts) != watch->mounts)
        check_storage(watch);
    watch->mounts = mounts_for(watch, mounts);
    if (watch->due && watch->due <= g_get_monotonic_time())
        watch_read_changes(watch);
    check_usage(watch);
    if (watch->space_due <= g_get_monotonic_time())
        check_space(watch);
    if (watch->health_due <= g_get_monotonic_time())
        check_health(watch);
    if (watch->trash_due <= g_get_monotonic_time())
        watch_expire_trash(watch);
    cst_log_pop(&log);
}
