/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts pools when a daemon starts, and retries until each is in its desired state. One scheduler
 * thread keeps the due times. Workers do the starts and scans, because storage may hang. Each pool
 * has at most one task (pool->retried). The task lasts until the pool is active and recovered, or
 * is no longer to be started. The delay doubles with every try, up to a minute.
 *
 * A task is owned by the list of waiting tasks or by the worker that runs it, never by both. The
 * lock guards that list and the stop flag. It is not held while a pool is started.
 */
#include "autostart.h"

#include <base/log.h>
#include <base/log_context.h>
#include <base/test_point.h>

#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"

#define WORKERS_MAX 16
/* How long a worker waits for an answer before it accesses storage. */
#define ANSWER_US       (5 * G_TIME_SPAN_SECOND)
#define FIRST_RETRY_S   1
#define LONGEST_RETRY_S 60
/* Storage of an active pool is retried more often, because guests may be waiting for it. */
#define LONGEST_ACTIVE_RETRY_S 10

typedef struct {
    CstPool *pool;     /* referenced */
    CstLogContext log; /* context of the caller that added it */
    gint64 due;        /* monotonic */
    unsigned delay_s;
    gboolean watched;
} AutostartTask;

struct Autostart {
    GMutex lock;
    GCond cond;
    GPtrArray *waiting; /* of AutostartTask *, owned */
    GThread *scheduler;
    GThreadPool *workers;
    gboolean stop;
};

static void task_free(AutostartTask *task)
{
    cst_log_context_clear(&task->log);
    cst_pool_unref(task->pool);
    g_free(task);
}

/*
 * Returns whether the storage of an inactive pool is available. When libvirt starts, it considers
 * such a pool active. Only with like_libvirt, and not for remote storage, which may not answer.
 */
static gboolean autostart_storage_exists(CstPool *pool)
{
    g_autoptr(CstPoolState) state = NULL;
    gboolean there = FALSE;

    if (!pool->service->like_libvirt)
        return FALSE;
    state = pool_state_open(pool, NULL);
    return state && !cst_pool_state_is_remote(state) &&
           cst_pool_state_await(state, g_get_monotonic_time() + ANSWER_US, NULL) &&
           cst_pool_state_check(state, &there, NULL) && there;
}

/*
 * Returns whether the pool has to be started. Checked before each try, because autostart may have
 * been disabled since.
 */
static gboolean autostart_is_wanted(CstPool *pool)
{
    gboolean autostart, startable;

    g_mutex_lock(&pool->lock);
    autostart = pool->autostart;
    startable = pool->persistent && !pool->active && !pool->removed;
    g_mutex_unlock(&pool->lock);
    return startable && (autostart || autostart_storage_exists(pool));
}

/* Returns whether a try may have work to do, from memory only. */
static gboolean may_be_wanted(CstPool *pool)
{
    gboolean may;

    g_mutex_lock(&pool->lock);
    may = pool->active ||
          (pool->persistent && !pool->removed && (pool->autostart || pool->service->like_libvirt));
    g_mutex_unlock(&pool->lock);
    return may;
}

/*
 * Watches and rescans a pool that is already active. Returns FALSE if it has to be retried, as
 * remote storage has to; a pool of files is watched instead.
 */
static gboolean bring_back(AutostartTask *task, CstPoolState *state)
{
    CstPool *pool = task->pool;
    g_autoptr(GError) error = NULL;
    gboolean needs_recovery;

    /* A worker must not block on storage that hangs. The pool is retried. */
    if (!cst_pool_state_await(state, g_get_monotonic_time() + ANSWER_US, &error)) {
        pool_set_problem(pool, error->message, TRUE);
        return FALSE;
    }
    if (!task->watched)
        pool->service->hooks->pool_started(pool);
    task->watched = TRUE;
    if (!pool_rescan(pool, state, NULL, &error)) {
        /* Log only the first failure. Later the pool's problem text shows the error. */
        if (task->delay_s == FIRST_RETRY_S)
            cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
        return !pool_recovers_late(pool, state);
    }
    g_mutex_lock(&pool->lock);
    needs_recovery = pool->needs_recovery;
    g_mutex_unlock(&pool->lock);
    return !needs_recovery || !pool_recovers_late(pool, state);
}

/*
 * Returns TRUE if no work is left. Returns FALSE without an error for an active pool that needs
 * another try.
 */
static gboolean bring_up(AutostartTask *task, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(task->pool, NULL);

    if (state)
        return bring_back(task, state);
    return !autostart_is_wanted(task->pool) || cst_pool_start(task->pool, 0, NULL, error);
}

/*
 * Ends the pool's task. Returns TRUE if recovery became necessary while this task ended and
 * prevented the addition of another one.
 */
static gboolean autostart_finish_task(CstPool *pool)
{
    gboolean again;

    g_mutex_lock(&pool->lock);
    pool->retried = FALSE;
    again = pool->state && pool->needs_recovery &&
            (pool->recovers_late || cst_pool_state_is_remote(pool->state));
    g_mutex_unlock(&pool->lock);
    return again;
}

static void autostart_add_task(Autostart *autostart, AutostartTask *task)
{
    g_mutex_lock(&autostart->lock);
    g_ptr_array_add(autostart->waiting, task);
    g_cond_signal(&autostart->cond);
    g_mutex_unlock(&autostart->lock);
}

/*
 * Schedules the task again after its delay. @error: of the failed start; NULL: an active pool that
 * needs another try.
 */
static void put_off(AutostartTask *task, const GError *error)
{
    if (error) {
        cst_log(CST_LOG_ERROR, "Failed to autostart storage pool '%s': %s; next try in %u s",
                task->pool->name, error->message, task->delay_s);
        pool_set_problem(task->pool, error->message, FALSE);
    }
    task->due = g_get_monotonic_time() + task->delay_s * G_TIME_SPAN_SECOND;
    task->delay_s = MIN(task->delay_s * 2, error ? LONGEST_RETRY_S : LONGEST_ACTIVE_RETRY_S);
}

/* Runs on a worker. Frees the task if it is done, else returns it to the list. */
static void run_task(gpointer data, gpointer autostart_data)
{
    AutostartTask *task = data;
    Autostart *autostart = autostart_data;
    g_autoptr(GError) error = NULL;
    gboolean done;

    cst_log_push(&task->log);
    cst_log_set_pool(task->pool->name);
    cst_log_set_volume(NULL);
    done = bring_up(task, &error);
    CST_TEST_POINT("autostart.task.tried");
    if (!done)
        put_off(task, error);
    else if (autostart_finish_task(task->pool))
        autostart_add(autostart, task->pool);
    cst_log_pop(&task->log);
    if (done)
        task_free(task);
    else
        autostart_add_task(autostart, task);
}

/*
 * Passes due tasks to workers. Returns the time when the next task is due, or G_MAXINT64 if no task
 * is waiting. Requires the lock.
 */
static gint64 dispatch_due(Autostart *autostart)
{
    gint64 now = g_get_monotonic_time();
    gint64 next = G_MAXINT64;

    for (guint i = autostart->waiting->len; i-- > 0;) {
        AutostartTask *task = g_ptr_array_index(autostart->waiting, i);

        if (task->due <= now)
            g_thread_pool_push(autostart->workers, g_ptr_array_steal_index(autostart->waiting, i),
                               NULL);
        else
            next = MIN(next, task->due);
    }
    return next;
}

/* The scheduler thread: sleeps until a task is due or added. */
static gpointer autostart_thread(gpointer data)
{
    Autostart *autostart = data;

    g_mutex_lock(&autostart->lock);
    while (!autostart->stop) {
        gint64 next = dispatch_due(autostart);

        CST_TEST_POINT("autostart.wait");
        if (next == G_MAXINT64)
            g_cond_wait(&autostart->cond, &autostart->lock);
        else
            g_cond_wait_until(&autostart->cond, &autostart->lock, next);
    }
    g_mutex_unlock(&autostart->lock);
    return NULL;
}

Autostart *autostart_new(void)
{
    Autostart *autostart = g_new0(Autostart, 1);

    g_mutex_init(&autostart->lock);
    g_cond_init(&autostart->cond);
    autostart->waiting = g_ptr_array_new_with_free_func((GDestroyNotify)task_free);
    autostart->workers = g_thread_pool_new(run_task, autostart, WORKERS_MAX, FALSE, NULL);
    autostart->scheduler = g_thread_new("autostart", autostart_thread, autostart);
    return autostart;
}

void autostart_free(Autostart *autostart)
{
    if (!autostart)
        return;
    g_mutex_lock(&autostart->lock);
    autostart->stop = TRUE;
    g_cond_signal(&autostart->cond);
    g_mutex_unlock(&autostart->lock);
    /*
     * Stop the scheduler before the workers, so that it starts no more tasks. Running starts are
     * completed, waiting tasks are dropped.
     */
    g_thread_join(autostart->scheduler);
    g_thread_pool_free(autostart->workers, FALSE, TRUE);
    g_ptr_array_unref(autostart->waiting);
    g_mutex_clear(&autostart->lock);
    g_cond_clear(&autostart->cond);
    g_free(autostart);
}

/* Returns TRUE for the first caller until the pool's task has ended. */
static gboolean autostart_claim_pool(CstPool *pool)
{
    gboolean free;

    g_mutex_lock(&pool->lock);
    free = !pool->retried;
    pool->retried = TRUE;
    g_mutex_unlock(&pool->lock);
    return free;
}

void autostart_add(Autostart *autostart, CstPool *pool)
{
    AutostartTask *task;

    /*
     * Runs in the caller's thread, which may be starting the daemon. Therefore no storage is
     * accessed.
     */
    if (!may_be_wanted(pool) || !autostart_claim_pool(pool))
        return;
    task = g_new0(AutostartTask, 1);
    task->pool = cst_pool_ref(pool);
    task->delay_s = FIRST_RETRY_S;
    cst_log_context_copy(&task->log);
    autostart_add_task(autostart, task);
}
