/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Start, stop, build, delete and refresh of pools. Each of them except refresh is a change of the
 * pool (core/claim.h). During a change the storage is accessed without any lock.
 *
 * A pool is active while its state file exists. A start that fails before the state file is durable
 * stops the storage again. A crash after the file was written leaves an active pool, which
 * pool_adopt() adopts. A crash during a stop leaves the pool active with its storage stopped, which
 * pool_adopt() reports as missing.
 *
 * Each start records the identity of the storage (CstBackend.identity), which is verified from then
 * on (CstBackend.expect). So no operation affects another disk that happens to be mounted at the
 * pool's path. Building the pool removes the record.
 */
#include "lifecycle.h"

#include <base/crash.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>
#include <store/pool_files.h>
#include <store/protected.h>
#include <store/trash.h>

#include "conflict.h"
#include "core/claim.h"
#include "core/definitions.h"
#include "core/events.h"
#include "core/job.h"
#include "core/kept_snapshots.h"
#include "core/pool.h"
#include "core/reading.h"
#include "core/registry.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/storage_index.h"
#include "core/table.h"
#include "core/trash_totals.h"
#include "dependency/depth.h"

/* --- start ------------------------------------------------------------------------------------ */

/* Definitions loaded from files may use the same storage, and one of these pools may be active. */
static gboolean check_storage_free(CstPool *pool, GError **error)
{
    g_autoptr(CstPoolDef) def = NULL;

    g_mutex_lock(&pool->lock);
    def = cst_pool_def_copy(pool->def);
    g_mutex_unlock(&pool->lock);
    return pool_check_sources(pool->service, def, TRUE, error);
}

gboolean pool_expect_recorded(CstService *service, const CstUuid *uuid, CstPoolState *state,
                              gboolean starting, GError **error)
{
    g_autofree char *recorded = NULL;

    return cst_pool_identity_load(service->paths, uuid, &recorded, error) &&
           cst_pool_state_expect(state, recorded, starting, error);
}

void pool_record_identity(CstPool *pool, const char *identity)
{
    g_autoptr(GError) error = NULL;

    if (identity)
        cst_pool_identity_save(pool->service->paths, &pool->uuid, identity, &error);
    if (error)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
}

static gboolean start_storage(CstPool *pool, CstPoolState *state, CstTask *task, GError **error)
{
    if (!cst_pool_state_start(state, error))
        return FALSE;
    /*
     * Remote storage may not answer now. pool_recover() recovers the work of dead processes once it
     * does.
     */
    if (pool_expect_recorded(pool->service, &pool->uuid, state, TRUE, error) &&
        (cst_pool_state_is_remote(state) || cst_pool_state_settle(state, error)) &&
        (pool_is_read_late(pool, state) ? pool_usage_update(pool, state, error)
                                        : pool_scan(pool, state, task, error)))
        return TRUE;
    cst_pool_state_stop(state, NULL);
    return FALSE;
}

void pool_set_active(CstPool *pool, CstPoolState *state)
{
    g_mutex_lock(&pool->lock);
    pool->state = cst_pool_state_ref(state);
    pool->next_state = NULL;
    pool->active = TRUE;
    pool->starting = FALSE;
    pool->inaccessible = pool->access_recorded = pool->health_recorded = FALSE;
    storage_index_update(pool);
    g_clear_pointer(&pool->problem, g_free);
    g_cond_broadcast(&pool->cond);
    g_mutex_unlock(&pool->lock);
}

/*
 * Resets the state of the storage. A definition for the next start is in force from now on.
 * Requires the lock.
 */
static void forget_storage(CstPool *pool)
{
    pool->starting = FALSE;
    pool->next_state = NULL;
    pool->usage = CST_POOL_USAGE_UNKNOWN;
    pool->health = CST_HEALTH_UNKNOWN;
    pool->limited_spaces = 0;
    pool->thin = (PoolThinUsage){0};
    if (pool->new_def) {
        cst_pool_def_free(pool->def);
        pool->def = g_steal_pointer(&pool->new_def);
    }
    storage_index_update(pool);
}

/* The state is freed without the lock, because that may close connections. */
void pool_set_inactive(CstPool *pool)
{
    CstPoolState *state;

    g_mutex_lock(&pool->lock);
    state = g_steal_pointer(&pool->state);
    pool->active = pool->inaccessible = FALSE;
    g_clear_pointer(&pool->problem, g_free);
    forget_storage(pool);
    g_cond_broadcast(&pool->cond);
    g_mutex_unlock(&pool->lock);
    pool_forget_reading(pool);
    pool_table_clear(pool);
    cst_pool_state_unref(state);
}

/*
 * The storage is queried before the definitions are entered, because it may hang, and the
 * definitions' lock would then block all other pools.
 */
static gboolean save_state(CstPool *pool, CstPoolState *state, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *identity = cst_pool_state_identity(state, &why);
    gboolean done;

    /* Without an identity, the replay would drop files below a file system that is unmounted. */
    if (g_error_matches(why, CST_ERROR, CST_ERROR_UNREACHABLE)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (why)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, why->message);
    if (!definitions_enter(pool->service, error))
        return FALSE;
    done = (!pool_is_read_late(pool, state) ||
            cst_pool_unread_save(pool->service->paths, pool->name, error)) &&
           cst_pool_state_save(pool->service->paths, pool->def, error);
    if (done)
        pool_record_identity(pool, identity);
    definitions_leave(pool->service);
    return done;
}

/* A secret of the pool may have changed after the storage was started with the old value. */
static void renew_since(CstPool *pool, CstPoolState *state, gint epoch)
{
    g_autoptr(GError) why = NULL;

    if (g_atomic_int_get(&pool->service->secret_epoch) != epoch &&
        !cst_pool_state_renew(state, &why))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, why->message);
}

void pool_set_starting(CstPool *pool, CstPoolDef *def)
{
    g_mutex_lock(&pool->lock);
    pool->starting = TRUE;
    if (def) {
        /* The definition on disk is in force again once the pool is inactive. */
        if (pool->persistent && !pool->new_def)
            pool->new_def = g_steal_pointer(&pool->def);
        cst_pool_def_free(pool->def);
        pool->def = def;
    }
    storage_index_update(pool);
    g_mutex_unlock(&pool->lock);
}

void pool_abandon_start(CstPool *pool)
{
    CST_TEST_POINT("pool.start.failed");
    g_mutex_lock(&pool->lock);
    forget_storage(pool);
    g_mutex_unlock(&pool->lock);
    pool_table_clear(pool);
}

/* Starts and scans the storage, and writes the state file. On failure the storage is stopped. */
static gboolean start_and_save(CstPool *pool, CstPoolState *state, CstTask *task, GError **error)
{
    g_mutex_lock(&pool->lock);
    pool->next_state = state;
    g_mutex_unlock(&pool->lock);
    CST_TEST_POINT("pool.start.opened");
    if (!start_storage(pool, state, task, error))
        return FALSE;
    if (save_state(pool, state, error))
        return TRUE;
    cst_pool_unread_remove(pool->service->paths, pool->name, NULL);
    cst_pool_state_stop(state, NULL);
    return FALSE;
}

/*
 * The check and the flag are one step, so that only one of two pools with the same storage starts.
 */
static gboolean set_starting_checked(CstPool *pool, GError **error)
{
    gboolean done;

    if (!definitions_enter(pool->service, error))
        return FALSE;
    done = check_storage_free(pool, error);
    if (done)
        pool_set_starting(pool, NULL);
    definitions_leave(pool->service);
    return done;
}

/*
 * Steps: open the state, start the storage, scan it unless pool_read_started() does, write the
 * state file, activate the pool. Hooks are last, because they require an active pool. A definition
 * that arrives during the start is kept for the next one.
 */
gboolean pool_start_changing(CstPool *pool, CstTask *task, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;
    gint epoch;

    if (cst_pool_is_active(pool))
        return cst_fail(error, CST_ERROR_STATE, _("storage pool '%s' is already active"),
                        pool->name);
    pool->service->hooks->before_start(pool, task);
    epoch = g_atomic_int_get(&pool->service->secret_epoch);
    state = set_starting_checked(pool, error) ? pool_state_open(pool, error) : NULL;
    if (!state || !start_and_save(pool, state, task, error)) {
        pool_abandon_start(pool);
        return FALSE;
    }
    if (pool_is_read_late(pool, state))
        pool_announce_reading(pool, task);
    pool_set_active(pool, state);
    renew_since(pool, state, epoch);
    pool_recover(pool, state);
    pool->service->hooks->pool_started(pool);
    return TRUE;
}

/* As in libvirt, OVERWRITE and NO_OVERWRITE are mutually exclusive. */
gboolean pool_create_flags_check(unsigned flags, const char *function, GError **error)
{
    return cst_flags_check(flags,
                           CST_POOL_CREATE_WITH_BUILD | CST_POOL_CREATE_WITH_BUILD_OVERWRITE |
                               CST_POOL_CREATE_WITH_BUILD_NO_OVERWRITE,
                           function, error) &&
           cst_flags_exclusive(flags, CST_POOL_CREATE_WITH_BUILD_OVERWRITE,
                               "VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE",
                               CST_POOL_CREATE_WITH_BUILD_NO_OVERWRITE,
                               "VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE", error);
}

/* --- stop ------------------------------------------------------------------------------------- */

static gboolean remove_state(CstPool *pool, GError **error)
{
    gboolean done;

    if (!definitions_enter(pool->service, error))
        return FALSE;
    done = cst_pool_state_remove(pool->service->paths, pool->name, error);
    /* The next load removes a remaining mark. */
    if (done)
        cst_pool_unread_remove(pool->service->paths, pool->name, NULL);
    definitions_leave(pool->service);
    return done;
}

/* Restarts the storage, because the state file could not be removed and the pool stays active. */
static void roll_back_stop(CstPool *pool, CstPoolState *state)
{
    g_autoptr(GError) why = NULL;

    CST_TEST_POINT("pool.stop.failed");
    if (!cst_pool_state_start(state, &why))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, why->message);
}

/* The storage is stopped first. If that fails, the pool stays active. */
static gboolean stop_changing(CstPool *pool, CstTask *task, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);

    if (!state)
        return FALSE;
    pool_abort_reading(pool, state, task);
    if (!cst_pool_state_stop(state, error))
        return FALSE;
    if (!remove_state(pool, error)) {
        roll_back_stop(pool, state);
        return FALSE;
    }
    CST_CRASH_POINT("pool.stop.state_removed");
    pool_set_inactive(pool);
    pool->service->hooks->pool_stopped(pool);
    return TRUE;
}

/* @only: the state to stop; NULL: the current one. Does nothing if the pool has another state. */
static gboolean stop_pool(CstPool *pool, const CstPoolState *only, CstTask *task, GError **error)
{
    gboolean done;

    if (!pool_change_begin(pool, task, error))
        return FALSE;
    if (only && pool->state != only) {
        pool_change_end(pool);
        return TRUE;
    }
    done = stop_changing(pool, task, error);
    /* Remove it before the next change, which may start a new pool of this name. */
    if (done) {
        CST_TEST_POINT("pool.stop.inactive");
        registry_forget_transient(pool);
    }
    pool_change_end(pool);
    if (!done)
        return FALSE;
    CST_TEST_POINT("pool.stop.ended");
    event_emit_pool(pool, CST_EVENT_POOL_LIFECYCLE, CST_POOL_EVENT_STOPPED);
    chain_record_stop(pool);
    return TRUE;
}

gboolean cst_pool_stop(CstPool *pool, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "stop", NULL, &task);
    return job_end(&job, stop_pool(pool, NULL, task, error), error);
}

/* --- start and first scan --------------------------------------------------------------------- */

/*
 * libvirt's start fails if the pool cannot be read. Another client may be using the pool already;
 * the pool then stays active, with the error as its problem.
 */
static void stop_unread(CstPool *pool, CstPoolState *state, CstTask *task, const GError *why)
{
    g_autoptr(GError) error = NULL;

    CST_TEST_POINT("pool.read.failed");
    if (stop_pool(pool, state, task, &error))
        return;
    cst_log(CST_LOG_WARNING, "pool '%s' could not be read, and stays active: %s", pool->name,
            error->message);
    pool_set_problem_of(pool, state, why->message, TRUE);
}

gboolean pool_read_started(CstPool *pool, CstTask *task, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_to_read(pool, task);
    g_autoptr(GError) why = NULL;
    gboolean aborted;

    if (!state || (pool_read(pool, state, task, &aborted, &why) && !aborted))
        return TRUE;
    if (aborted)
        return cst_fail(error, CST_ERROR_STATE,
                        _("storage pool '%s' was stopped before it had been read"), pool->name);
    /* The next daemon adopts the pool, which may be in use, and reads it. */
    if (!jobs_are_stopping(pool->service->jobs))
        stop_unread(pool, state, task, why);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* An active pool must not be built. pool_start_changing() then fails with STATE. */
static gboolean start_pool(CstPool *pool, unsigned flags, CstTask *task, GError **error)
{
    gboolean done;

    if (!pool_create_flags_check(flags, "storagePoolCreate", error) ||
        !pool_change_begin(pool, task, error))
        return FALSE;
    done = !cst_pool_is_active(pool) ? pool_build_if_asked(pool, flags, error) : TRUE;
    done = done && pool_start_changing(pool, task, error);
    pool_change_end(pool);
    if (!done)
        return FALSE;
    cst_log(CST_LOG_INFO, "pool '%s' started", pool->name);
    event_emit_pool(pool, CST_EVENT_POOL_LIFECYCLE, CST_POOL_EVENT_STARTED);
    return pool_read_started(pool, task, error);
}

gboolean cst_pool_start(CstPool *pool, unsigned flags, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "start", NULL, &task);
    return job_end(&job, start_pool(pool, flags, task, error), error);
}

/* --- build, delete ---------------------------------------------------------------------------- */

static unsigned build_flags(unsigned create_flags)
{
    if (create_flags & CST_POOL_CREATE_WITH_BUILD_OVERWRITE)
        return CST_POOL_BUILD_OVERWRITE;
    if (create_flags & CST_POOL_CREATE_WITH_BUILD_NO_OVERWRITE)
        return CST_POOL_BUILD_NO_OVERWRITE;
    return 0;
}

static gboolean build_changing(CstPool *pool, unsigned flags, GError **error)
{
    g_autoptr(CstPoolState) state =
        check_storage_free(pool, error) ? pool_state_open(pool, error) : NULL;

    if (!state || !cst_pool_state_build(state, flags, error))
        return FALSE;
    /* Building accepts the storage as it is now. */
    cst_pool_identity_remove(pool->service->paths, &pool->uuid, NULL);
    return TRUE;
}

gboolean pool_build_if_asked(CstPool *pool, unsigned create_flags, GError **error)
{
    return !create_flags || build_changing(pool, build_flags(create_flags), error);
}

/* An operation on the storage that requires an inactive pool. */
typedef struct {
    gboolean (*run)(CstPool *pool, unsigned flags, GError **error);
    CstPoolEventKind event;
    const char *still; /* "already" or "still", for libvirt's error text */
} InactiveWork;

static gboolean refuse_active(CstPool *pool, const InactiveWork *work, GError **error)
{
    if (!cst_pool_is_active(pool))
        return TRUE;
    return cst_fail(error, CST_ERROR_STATE, _("storage pool '%s' is %s active"), pool->name,
                    work->still);
}

static gboolean run_inactive(CstPool *pool, const InactiveWork *work, unsigned flags, CstTask *task,
                             GError **error)
{
    gboolean done;

    /* Check before the wait for the change, because an active pool may be busy for hours. */
    if (!refuse_active(pool, work, error))
        return FALSE;
    CST_TEST_POINT("pool.inactive.checked");
    if (!pool_change_begin(pool, task, error))
        return FALSE;
    done = refuse_active(pool, work, error) && work->run(pool, flags, error);
    pool_change_end(pool);
    if (done)
        event_emit_pool(pool, CST_EVENT_POOL_LIFECYCLE, work->event);
    return done;
}

static gboolean build_pool(CstPool *pool, unsigned flags, CstTask *task, GError **error)
{
    const InactiveWork work = {build_changing, CST_POOL_EVENT_CREATED, "already"};

    return run_inactive(pool, &work, flags, task, error);
}

gboolean cst_pool_build(CstPool *pool, unsigned flags, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "build", NULL, &task);
    return job_end(&job, build_pool(pool, flags, task, error), error);
}

/*
 * The records of the trash are kept when a pool is undefined. Without the storage they would be
 * meaningless.
 */
static gboolean check_no_trash(CstPool *pool, GError **error)
{
    g_autoptr(GPtrArray) trash = cst_trash_list(pool->service->paths, &pool->uuid, error);

    if (!trash || trash->len == 0)
        return trash != NULL;
    return cst_fail(error, CST_ERROR_STATE,
                    _("storage pool '%s' has %u deleted volumes in its trash, '%s' is one; start "
                      "it and use trash-restore or trash-empty first"),
                    pool->name, trash->len, ((const CstTrashed *)trash->pdata[0])->name);
}

static gboolean delete_changing(CstPool *pool, unsigned flags, GError **error)
{
    g_autoptr(GPtrArray) kept = cst_protected_list(pool->service->paths, &pool->uuid, error);
    g_autoptr(CstPoolState) state = NULL;

    if (!kept)
        return FALSE;
    if (kept->len > 0)
        return cst_fail(error, CST_ERROR_STATE,
                        _("storage pool '%s' has protected volumes, '%s' is one; vol-unprotect "
                          "allows their deletion"),
                        pool->name, (const char *)g_ptr_array_index(kept, 0));
    if (!check_no_trash(pool, error))
        return FALSE;
    state = pool_state_open(pool, error);
    return state && cst_pool_state_destroy(state, flags, error);
}

static gboolean delete_pool(CstPool *pool, unsigned flags, CstTask *task, GError **error)
{
    const InactiveWork work = {delete_changing, CST_POOL_EVENT_DELETED, "still"};

    return run_inactive(pool, &work, flags, task, error);
}

gboolean cst_pool_delete(CstPool *pool, unsigned flags, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};
    gboolean done;

    job_begin(&job, pool, "pool-delete", NULL, &task);
    done = delete_pool(pool, flags, task, error);
    if (done)
        chain_record_pool_gone(pool);
    return job_end(&job, done, error);
}

/* --- refresh ---------------------------------------------------------------------------------- */

/* libvirt stops a pool if its refresh fails. A pool that was started again stays active. */
static void stop_unrefreshed(CstPool *pool, const CstPoolState *state, CstTask *task,
                             const GError *why)
{
    g_autoptr(GError) error = NULL;

    CST_TEST_POINT("pool.refresh.failed");
    if (g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_BUSY))
        return;
    cst_log(CST_LOG_WARNING, "pool '%s': %s; it is stopped", pool->name, why->message);
    if (!stop_pool(pool, state, task, &error))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
}

/*
 * A refresh is not a change of the pool. Operations on volumes continue, and their claims keep it
 * active.
 */
static gboolean refresh_pool(CstPool *pool, unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstPoolState) state = NULL;
    GError *why = NULL;

    if (!cst_flags_check(flags, 0, "storagePoolRefresh", error))
        return FALSE;
    state = pool_state_get(pool, error);
    if (!state)
        return FALSE;
    if (!cst_pool_state_rescan_bus(state, task, &why) || !pool_rescan(pool, state, task, &why)) {
        if (pool->service->like_libvirt)
            stop_unrefreshed(pool, state, task, why);
        g_propagate_error(error, why);
        return FALSE;
    }
    trash_totals_forget(pool);
    kept_snapshots_forget(pool);
    pool->service->hooks->refreshed(pool, state);
    event_emit_pool(pool, CST_EVENT_POOL_REFRESH, 0);
    return TRUE;
}

gboolean cst_pool_refresh(CstPool *pool, unsigned flags, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "refresh", NULL, &task);
    return job_end(&job, refresh_pool(pool, flags, task, error), error);
}
