/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "autostart.h"

#include <base/log.h>

#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"

#define STARTS_AT_ONCE  16
#define FIRST_RETRY_S   1
#define LONGEST_RETRY_S 60
/* An active pool is asked for more often: somebody is using it. */
#define LONGEST_ACTIVE_RETRY_S 10

typedef struct {
    CstPool *pool; /* referenced */
    gint64 due;    /* monotonic */
    unsigned delay_s;
    gboolean watched;
} BootTask;

struct Boot {
    GMutex lock;
    GCond cond;
    GPtrArray *waiting; /* of BootTask *, owned */
    GThread *scheduler;
    GThreadPool *workers;
    gboolean stop;
};

static void boot_task_free(BootTask *task)
{
    cst_pool_unref(task->pool);
    g_free(task);
}

/* libvirt takes a pool whose storage is there for an active one when it starts. */
static gboolean is_there(CstPool *pool)
{
    g_autoptr(CstPoolState) state = NULL;
    gboolean there = FALSE;

    if (!pool->service->like_libvirt)
        return FALSE;
    state = cst_pool_state_open(pool->def, &pool->service->pool_host, NULL);
    return state && !cst_pool_state_is_remote(state) && cst_pool_state_check(state, &there, NULL) &&
           there;
}

static gboolean wanted(CstPool *pool)
{
    gboolean autostart, startable;

    g_mutex_lock(&pool->lock);
    autostart = pool->autostart;
    startable = pool->persistent && !pool->active && !pool->removed;
    g_mutex_unlock(&pool->lock);
    return startable && (autostart || is_there(pool));
}

/* Refreshes an active pool; FALSE: to be tried again. A pool of files is watched instead. */
static gboolean bring_back(BootTask *task, CstPoolState *state)
{
    CstPool *pool = task->pool;
    g_autoptr(GError) error = NULL;
    gboolean needs_recovery;

    if (!task->watched)
        pool->service->hooks->pool_started(pool);
    task->watched = TRUE;
    if (!pool_rescan(pool, state, NULL, &error)) {
        if (task->delay_s == FIRST_RETRY_S)
            cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
        return !cst_pool_state_is_remote(state);
    }
    g_mutex_lock(&pool->lock);
    needs_recovery = pool->needs_recovery;
    g_mutex_unlock(&pool->lock);
    return !needs_recovery || !cst_pool_state_is_remote(state);
}

/* TRUE: nothing more to do. FALSE without an error: an active pool that needs another try. */
static gboolean bring_up(BootTask *task, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(task->pool, NULL);

    if (state)
        return bring_back(task, state);
    return !wanted(task->pool) || cst_pool_start(task->pool, 0, NULL, error);
}

/* TRUE: while its task came to an end, something was left to recover. */
static gboolean let_go(CstPool *pool)
{
    gboolean again;

    g_mutex_lock(&pool->lock);
    pool->retried = FALSE;
    again = pool->state && cst_pool_state_is_remote(pool->state) && pool->needs_recovery;
    g_mutex_unlock(&pool->lock);
    return again;
}

static void add(Boot *boot, BootTask *task)
{
    g_mutex_lock(&boot->lock);
    g_ptr_array_add(boot->waiting, task);
    g_cond_signal(&boot->cond);
    g_mutex_unlock(&boot->lock);
}

static void run_task(gpointer data, gpointer boot_data)
{
    BootTask *task = data;
    Boot *boot = boot_data;
    g_autoptr(GError) error = NULL;

    if (bring_up(task, &error)) {
        if (let_go(task->pool))
            boot_add(boot, task->pool);
        boot_task_free(task);
        return;
    }
    if (error) {
        cst_log(CST_LOG_ERROR, "Failed to autostart storage pool '%s': %s; next try in %u s",
                task->pool->name, error->message, task->delay_s);
        pool_set_problem(task->pool, error->message, FALSE);
    }
    task->due = g_get_monotonic_time() + task->delay_s * G_TIME_SPAN_SECOND;
    task->delay_s = MIN(task->delay_s * 2, error ? LONGEST_RETRY_S : LONGEST_ACTIVE_RETRY_S);
    add(boot, task);
}

/* With the lock held: hands out what is due, returns when the next one will be. */
static gint64 dispatch_due(Boot *boot)
{
    gint64 now = g_get_monotonic_time();
    gint64 next = G_MAXINT64;

    for (guint i = boot->waiting->len; i-- > 0;) {
        BootTask *task = g_ptr_array_index(boot->waiting, i);

        if (task->due <= now)
            g_thread_pool_push(boot->workers, g_ptr_array_steal_index(boot->waiting, i), NULL);
        else
            next = MIN(next, task->due);
    }
    return next;
}

static gpointer schedule(gpointer data)
{
    Boot *boot = data;

    g_mutex_lock(&boot->lock);
    while (!boot->stop) {
        gint64 next = dispatch_due(boot);

        if (next == G_MAXINT64)
            g_cond_wait(&boot->cond, &boot->lock);
        else
            g_cond_wait_until(&boot->cond, &boot->lock, next);
    }
    g_mutex_unlock(&boot->lock);
    return NULL;
}

Boot *boot_new(void)
{
    Boot *boot = g_new0(Boot, 1);

    g_mutex_init(&boot->lock);
    g_cond_init(&boot->cond);
    boot->waiting = g_ptr_array_new_with_free_func((GDestroyNotify)boot_task_free);
    boot->workers = g_thread_pool_new(run_task, boot, STARTS_AT_ONCE, FALSE, NULL);
    boot->scheduler = g_thread_new("boot", schedule, boot);
    return boot;
}

void boot_free(Boot *boot)
{
    if (!boot)
        return;
    g_mutex_lock(&boot->lock);
    boot->stop = TRUE;
    g_cond_signal(&boot->cond);
    g_mutex_unlock(&boot->lock);
    g_thread_join(boot->scheduler);
    g_thread_pool_free(boot->workers, FALSE, TRUE);
    g_ptr_array_unref(boot->waiting);
    g_mutex_clear(&boot->lock);
    g_cond_clear(&boot->cond);
    g_free(boot);
}

/* TRUE once for each pool: its task lasts until there is nothing more to do. */
static gboolean claim(CstPool *pool)
{
    gboolean free;

    g_mutex_lock(&pool->lock);
    free = !pool->retried;
    pool->retried = TRUE;
    g_mutex_unlock(&pool->lock);
    return free;
}

void boot_add(Boot *boot, CstPool *pool)
{
    BootTask *task;

    if ((!wanted(pool) && !cst_pool_is_active(pool)) || !claim(pool))
        return;
    task = g_new0(BootTask, 1);
    task->pool = cst_pool_ref(pool);
    task->delay_s = FIRST_RETRY_S;
    add(boot, task);
}
