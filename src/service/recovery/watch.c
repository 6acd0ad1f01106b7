/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One pool that is watched: what was reported, and what a worker does about it.
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
#include "volume/trash.h"

/*
 * A report without a name takes a scan of all, often for the sake of changes of our own, which are
 * known. It waits, so that it does not hinder the next change, and for so many times as long as the
 * scan before took, so that a pool of many volumes is not scanned all the time.
 */
#define UNNAMED_MIN_MS 1000
#define UNNAMED_MAX_MS 8000
#define UNNAMED_SCANS  4
/*
 * A scan of one new file writes a record to the disk on its own, which takes as long as a scan of
 * all takes for many known ones; a scan of all writes the records in one transaction. So a pool of
 * which more than one in so many volumes has changed is scanned as a whole.
 */
#define CHANGED_MIN   64
#define CHANGED_SHARE 16
/* A pool whose storage was missing is scanned this often. */
#define RETRY_MS 5000
/* Space that may run full while guests write is checked this often: no watch reports it. */
#define SPACE_MS 10000
/* Storage whose technology tells how it is, which costs nothing, is asked this often. */
#define HEALTH_MS 3000
/* Deleted volumes are looked at this often whether they were kept for their days. */
#define TRASH_MS (10 * 60 * 1000)
/* While a pool is being started nobody has its volumes, and this is tried again. */
#define TRASH_AGAIN_MS 1000

void watch_free(Watch *watch)
{
    cst_pool_state_watch_close(watch->state, &watch->fd);
    g_hash_table_unref(watch->changed);
    cst_pool_state_unref(watch->state);
    cst_pool_unref(watch->pool);
    g_free(watch);
}

/* --- what was reported ------------------------------------------------------------------------ */

/* Receives a changed name from cst_pool_state_watch_read(); NULL: anything may have changed. */
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
 * With like_libvirt the table changes only when a client refreshes the pool, so there is nothing to
 * watch but whether the storage is there.
 */
static void drop_unless_wanted(Watch *watch)
{
    if (watch->pool->service->like_libvirt)
        cst_pool_state_watch_close(watch->state, &watch->fd);
}

/* The storage that has come back is another directory than the one that was watched. */
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
 * Whether the pool is being stopped, which may take its storage away before the pool is inactive.
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
 * Scans the whole pool. The watch is renewed before the scan, so that nothing is missed in between.
 */
static gboolean rescan(Watch *watch)
{
    gboolean watched = !watch->lost || renew_watch(watch);
    gint64 started = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    if (pool_rescan(watch->pool, watch->state, NULL, &error)) {
        watch->scan_us = g_get_monotonic_time() - started;
        /*
         * Either the storage came back after the first attempt, or the limit of inotify watches is
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
 * Scans the names that were reported. TRUE: the table was outdated; our own changes are reported,
 * too, and find it up to date.
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
        /* The storage may have gone: catch_up() scans all of it, and notes that it is lost. */
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

/* Reads what was reported since the last time, and brings the table up to date with it. */
static void catch_up(Watch *watch)
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
        watch->all = !rescan(watch);
        watch->due = watch->all ? g_get_monotonic_time() + RETRY_MS * 1000 : 0;
        /* Storage that is still away has been reported. */
        changed = !was_lost || !watch->lost;
    }
    if (changed)
        event_emit_pool(watch->pool, CST_EVENT_POOL_REFRESH, 0);
}

/*
 * After a change of the mounts: makes the pool due at once if its storage went away or came back.
 */
static void check_storage(Watch *watch)
{
    gboolean active = FALSE;

    if (!cst_pool_state_check(watch->state, &active, NULL) || active != watch->lost)
        return;
    watch->all = TRUE;
    watch->due = g_get_monotonic_time();
}

/* Estimates end, also where no watch reports what others change. */
static void check_usage(Watch *watch)
{
    gint64 due = pool_usage_due(watch->pool);

    if (due && due <= g_get_monotonic_time())
        pool_usage_update(watch->pool, watch->state, NULL);
}

/* Whoever watches the pool's state is told of a change. */
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

static void check_trash(Watch *watch)
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
 * A scan that began before may have ended since and found no problem, so it is set as long as there
 * is one.
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

    /* The type of pool has nothing to watch, nor a trash. */
    if (fd < 0 && !error && !cst_pool_state_may_hang(state) && !cst_pool_state_has_health(state) &&
        !cst_pool_state_check_trash(state, NULL))
        return NULL;
    if (error)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
    watch = g_new0(Watch, 1);
    /* Storage that is not there yet can't be watched; it is scanned again and again. */
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

/* The count of changes of mounts up to which the storage has to be checked. */
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
        catch_up(watch);
    check_usage(watch);
    if (watch->space_due <= g_get_monotonic_time())
        check_space(watch);
    if (watch->health_due <= g_get_monotonic_time())
        check_health(watch);
    if (watch->trash_due <= g_get_monotonic_time())
        check_trash(watch);
    cst_log_pop(&log);
}
