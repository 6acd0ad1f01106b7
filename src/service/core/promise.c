/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The promise of a pool, its limits, and reservations.
 *
 * The promise is the sum over all volumes of the size to which each of them can grow, with its
 * snapshots. The table keeps the sum of its records (volume_table.c). kept_snapshots.c keeps the
 * sums of the snapshots outside of the images.
 *
 * A reservation has the promise that its volume will have. While its operation runs, the larger one
 * of the reservation and the record counts. So the volume is counted once, also from the moment
 * when the table has it to the end of the reservation. The check and the reservation are one step
 * under the pool's lock, so that two operations never reserve the same space.
 *
 * Several processes without a daemon may work on a root. A reservation in a pool with limits then
 * holds a lock against the other processes (store/promise_lock.h), and scans the pool after it got
 * the lock. All reservations of a process in a pool share the lock, so that it never waits for
 * itself.
 */
#include "promise.h"

#include <inttypes.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log_context.h>
#include <base/test_point.h>
#include <base/units.h>
#include <service/promise.h>
#include <store/promise_lock.h>

#include "kept_snapshots.h"
#include "scan.h"
#include "service.h"

/* Interval of the attempts to lock the promise against other processes. */
#define RETRY_US (20 * G_TIME_SPAN_MILLISECOND)

/* --- the sum ---------------------------------------------------------------------------------- */

static uint64_t promise_add(uint64_t a, uint64_t b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* Returns the promise of the volume @name without reservations. Requires the lock. */
static uint64_t promise_of_name(const CstPool *pool, const char *name)
{
    const CstVolume *volume = volume_table_get(pool->volumes, name);

    return volume ? promise_add(cst_volume_promise(volume), kept_snapshots_of(pool->kept, name))
                  : 0;
}

/* Returns the bytes that reservations add to the tables, and the new volumes. Requires the lock. */
static uint64_t promise_reserved(const CstPool *pool, uint64_t *ret_volumes)
{
    uint64_t sum = 0;

    *ret_volumes = 0;
    for (guint i = 0; i < pool->promises->len; i++) {
        const PoolPromise *promise = g_ptr_array_index(pool->promises, i);
        uint64_t present = promise_of_name(pool, promise->name);

        *ret_volumes += !volume_table_get(pool->volumes, promise->name);
        if (promise->bytes > present)
            sum = promise_add(sum, promise->bytes - present);
    }
    return sum;
}

/* Fills in *ret_promise. @kept: the promise of snapshots outside of images. Requires the lock. */
static void promise_read(const CstPool *pool, uint64_t kept, CstPoolPromise *ret_promise)
{
    const CstPoolDef *def = pool->new_def ? pool->new_def : pool->def;
    uint64_t added, reserved = promise_reserved(pool, &added);

    *ret_promise = (CstPoolPromise){
        .promised = promise_add(promise_add(volume_table_promise(pool->volumes), kept), reserved),
        .volumes = volume_table_size(pool->volumes) + added,
        .capacity = pool->usage.capacity,
        .limits = def->limits,
    };
}

uint64_t pool_promise_known(CstPool *pool)
{
    return promise_add(volume_table_promise(pool->volumes), kept_snapshots_known(pool));
}

gboolean pool_promise_of(CstPoolState *state, const CstVolume *volume, uint64_t *ret_bytes,
                         GError **error)
{
    *ret_bytes = cst_volume_promise(volume);
    return kept_snapshots_add(state, volume->name, ret_bytes, error);
}

gboolean cst_pool_get_promise(CstPool *pool, CstPoolPromise *ret_promise, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    uint64_t kept;

    if (!state ||
        !(pool->service->mode == CST_SERVICE_EMBEDDED ? pool_rescan_aged(pool, state, error)
                                                      : pool_scan_if_new(pool, state, error)) ||
        !kept_snapshots_lock(pool, state, &kept, error))
        return FALSE;
    promise_read(pool, kept, ret_promise);
    g_mutex_unlock(&pool->lock);
    return TRUE;
}

/* --- the limits ------------------------------------------------------------------------------- */

static gboolean fail_volumes(const CstPool *pool, const CstPoolPromise *now,
                             const PromiseRequest *request, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("cannot add volume '%s': pool '%s' has %" PRIu64
                      " volumes, and its limit is %u; delete volumes, or raise the limit "
                      "(pool-limits %s --volumes N)"),
                    request->name, pool->name, now->volumes, now->limits.volumes, pool->name);
}

static gboolean fail_quota(const CstPool *pool, const CstPoolPromise *now,
                           const PromiseRequest *request, GError **error)
{
    g_autofree char *more = cst_units_text(request->more);
    g_autofree char *promised = cst_units_text(now->promised);
    g_autofree char *quota = cst_units_text(now->limits.quota);

    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("cannot promise %s more to volume '%s': pool '%s' has promised %s, and its "
                      "quota is %s; delete volumes or snapshots, or raise the quota (pool-limits "
                      "%s --quota SIZE)"),
                    more, request->name, pool->name, promised, quota, pool->name);
}

static gboolean fail_overcommit(const CstPool *pool, const CstPoolPromise *now,
                                const PromiseRequest *request, GError **error)
{
    g_autofree char *more = cst_units_text(request->more);
    g_autofree char *promised = cst_units_text(now->promised);
    g_autofree char *limit =
        cst_units_text(cst_limits_overcommit_bytes(&now->limits, now->capacity));
    g_autofree char *factor = cst_overcommit_format(now->limits.overcommit);

    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("cannot promise %s more to volume '%s': pool '%s' has promised %s, and its "
                      "limit is %s (%s times its capacity); delete volumes or snapshots, grow the "
                      "pool, or raise the limit (pool-limits %s --overcommit FACTOR)"),
                    more, request->name, pool->name, promised, limit, factor, pool->name);
}

/* Returns whether @more bytes exceed @limit together with the present promise. */
static gboolean promise_exceeds(const CstPoolPromise *now, uint64_t more, uint64_t limit)
{
    return more > 0 && limit != UINT64_MAX &&
           (now->promised > limit || more > limit - now->promised);
}

static gboolean promise_check(const CstPool *pool, const CstPoolPromise *now,
                              const PromiseRequest *request, GError **error)
{
    uint64_t overcommit = cst_limits_overcommit_bytes(&now->limits, now->capacity);

    if (request->added && now->limits.volumes && now->volumes >= now->limits.volumes)
        return fail_volumes(pool, now, request, error);
    if (now->limits.quota && promise_exceeds(now, request->more, now->limits.quota))
        return fail_quota(pool, now, request, error);
    if (promise_exceeds(now, request->more, overcommit))
        return fail_overcommit(pool, now, request, error);
    return TRUE;
}

/* --- other processes -------------------------------------------------------------------------- */

/* Joins the reservations of this process that hold the lock. FALSE: there are none. */
static gboolean promise_join_lock(CstPool *pool)
{
    gboolean held;

    g_mutex_lock(&pool->lock);
    held = pool->promise_users > 0;
    pool->promise_users += held;
    g_mutex_unlock(&pool->lock);
    return held;
}

/* The other processes may have created volumes, so the pool is scanned under the lock. */
static gboolean promise_begin_lock(CstPool *pool, CstPoolState *state, CstTask *task, int fd,
                                   GError **error)
{
    if (!pool_rescan(pool, state, task, error)) {
        cst_promise_unlock(pool->service->paths, &pool->uuid, fd);
        return FALSE;
    }
    g_mutex_lock(&pool->lock);
    pool->promise_users = 1;
    pool->promise_fd = fd;
    g_mutex_unlock(&pool->lock);
    return TRUE;
}

/* Whether a wait that began at @since may go on. Fails with BUSY after the longest wait of the
 * task. */
static gboolean promise_may_wait(const CstPool *pool, CstTask *task, gint64 since, GError **error)
{
    gint64 most = cst_task_max_wait(task);

    if (most && g_get_monotonic_time() - since >= most)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("another process reserves space in pool '%s', which has limits; try "
                          "again afterwards"),
                        pool->name);
    cst_task_set_waiting(task, TRUE);
    return cst_task_check(task, error);
}

/* Waits until no other process holds the lock. *ret_locked: this reservation holds it. */
static gboolean promise_lock(CstPool *pool, CstPoolState *state, gboolean *ret_locked,
                             GError **error)
{
    const CstLogContext *context = cst_log_context();
    CstTask *task = context ? context->task : NULL;
    gint64 since = g_get_monotonic_time();

    *ret_locked = pool->service->mode == CST_SERVICE_EMBEDDED && !cst_dry_run();
    while (*ret_locked && !promise_join_lock(pool)) {
        g_autoptr(GError) why = NULL;
        int fd = cst_promise_lock(pool->service->paths, &pool->uuid, &why);

        cst_task_set_waiting(task, FALSE);
        if (fd >= 0)
            return promise_begin_lock(pool, state, task, fd, error);
        if (!g_error_matches(why, CST_ERROR, CST_ERROR_BUSY)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        CST_TEST_POINT("promise.lock.wait");
        if (!promise_may_wait(pool, task, since, error))
            return FALSE;
        g_usleep(RETRY_US);
    }
    return TRUE;
}

static void promise_unlock(CstPool *pool)
{
    gboolean last;
    int fd;

    g_mutex_lock(&pool->lock);
    last = --pool->promise_users == 0;
    fd = pool->promise_fd;
    g_mutex_unlock(&pool->lock);
    if (last)
        cst_promise_unlock(pool->service->paths, &pool->uuid, fd);
}

/* --- reservations ----------------------------------------------------------------------------- */

/* Enters the reservation, or extends it. Requires the lock. */
static void promise_enter(PoolPromise *promise, CstPool *pool, const PromiseRequest *request)
{
    if (!promise->pool) {
        promise->pool = cst_pool_ref(pool);
        promise->name = g_strdup(request->name);
        promise->bytes = promise_of_name(pool, request->name);
        g_ptr_array_add(pool->promises, promise);
    }
    promise->bytes = promise_add(promise->bytes, request->more);
}

static gboolean pool_has_limits(CstPool *pool)
{
    gboolean limited;

    g_mutex_lock(&pool->lock);
    limited = cst_limits_are_set(&(pool->new_def ? pool->new_def : pool->def)->limits);
    g_mutex_unlock(&pool->lock);
    return limited;
}

/* Checks and reserves under the lock. */
static gboolean promise_try(PoolPromise *promise, CstPool *pool, CstPoolState *state,
                            const PromiseRequest *request, GError **error)
{
    CstPoolPromise now;
    uint64_t kept;
    gboolean fits;

    CST_TEST_POINT("promise.reserve.check");
    if (!kept_snapshots_lock(pool, state, &kept, error))
        return FALSE;
    promise_read(pool, kept, &now);
    fits = promise_check(pool, &now, request, error);
    if (fits)
        promise_enter(promise, pool, request);
    g_mutex_unlock(&pool->lock);
    return fits;
}

/* The capacity in memory may be outdated, for example after a growth of the storage. */
static gboolean promise_reserve_limited(PoolPromise *promise, CstPool *pool, CstPoolState *state,
                                        const PromiseRequest *request, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!pool_scan_if_new(pool, state, error))
        return FALSE;
    if (promise_try(promise, pool, state, request, &why))
        return TRUE;
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_NO_SPACE)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return pool_usage_update(pool, state, error) &&
           promise_try(promise, pool, state, request, error);
}

/*
 * Without a limit the reservation counts as well, because a limit may be set while the operation
 * runs.
 */
gboolean pool_promise_reserve(PoolPromise *promise, CstPool *pool, CstPoolState *state,
                              const PromiseRequest *request, GError **error)
{
    gboolean locked = FALSE;

    if (!pool_has_limits(pool)) {
        g_mutex_lock(&pool->lock);
        promise_enter(promise, pool, request);
        g_mutex_unlock(&pool->lock);
        return TRUE;
    }
    if (!promise->locked && !promise_lock(pool, state, &locked, error))
        return FALSE;
    if (promise_reserve_limited(promise, pool, state, request, error)) {
        promise->locked |= locked;
        return TRUE;
    }
    if (locked)
        promise_unlock(pool);
    return FALSE;
}

void pool_promise_end(PoolPromise *promise)
{
    CstPool *pool = g_steal_pointer(&promise->pool);

    if (!pool)
        return;
    g_mutex_lock(&pool->lock);
    g_ptr_array_remove_fast(pool->promises, promise);
    g_mutex_unlock(&pool->lock);
    if (promise->locked)
        promise_unlock(pool);
    g_clear_pointer(&promise->name, g_free);
    *promise = (PoolPromise){0};
    cst_pool_unref(pool);
}
