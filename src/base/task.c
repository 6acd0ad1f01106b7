/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Progress, cancellation and rate of an operation (see the header). The fields that several threads
 * use are atomic, so that reading is cheap and cancelling is safe in a signal handler. The rate
 * needs a lock, because since and base have to change together. The lock also guards on_stuck and
 * on_copy.
 *
 * cst_task_check() sleeps to keep the rate: since the time "since", at most rate bytes per second
 * may be moved in addition to "base". Slow work may catch up for at most CATCH_UP_US, so that a
 * pause is not followed by a burst.
 */
#include <base/task.h>

#include <stdatomic.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#define WAIT_STEP_US 50000          /* between two checks of cancellation and rate during a wait */
#define LONGEST_S    1e9            /* maximum wait, so that it fits a gint64 */
#define CATCH_UP_US  G_USEC_PER_SEC /* time before now with unused rate that may be caught up */

struct CstTask {
    atomic_int refs;
    atomic_bool cancelled;
    atomic_bool abandoned; /* cancelled because its client has disconnected */
    atomic_bool detached;
    atomic_bool waiting;
    atomic_bool stuck; /* storage that the work uses did not answer */
    void (*on_wait)(gboolean waiting, gpointer data); /* may be NULL */
    gpointer on_wait_data;
    _Atomic gint64 max_wait;
    const char *_Atomic kind;
    _Atomic uint64_t done;
    _Atomic uint64_t total;
    _Atomic uint64_t job;
    _Atomic uint64_t part_of;
    uid_t uid;
    pid_t pid;

    _Atomic uint64_t rate;                              /* bytes per second; 0: no limit */
    _Atomic uint64_t moved;                             /* bytes that count against the rate */
    GMutex lock;                                        /* guards the fields below */
    void (*on_stuck)(const GError *why, gpointer data); /* may be NULL */
    gpointer on_stuck_data;
    gboolean (*on_copy)(gpointer data, GError **error); /* may be NULL */
    gpointer on_copy_data;
    gint64 since; /* monotonic; "base" bytes had been moved at that time */
    uint64_t base;
};

CstTask *cst_task_new(void)
{
    CstTask *task = g_new0(CstTask, 1);

    task->refs = 1;
    task->uid = geteuid();
    task->pid = getpid();
    g_mutex_init(&task->lock);
    return task;
}

CstTask *cst_task_ref(CstTask *task)
{
    if (task)
        task->refs++;
    return task;
}

void cst_task_unref(CstTask *task)
{
    if (!task || --task->refs > 0)
        return;
    g_mutex_clear(&task->lock);
    g_free(task);
}

void cst_task_set_total(CstTask *task, uint64_t total)
{
    if (task)
        task->total = total;
}

void cst_task_add_total(CstTask *task, uint64_t more)
{
    if (task)
        task->total += more;
}

void cst_task_skip(CstTask *task, uint64_t bytes)
{
    if (task)
        task->done += bytes;
}

void cst_task_advance(CstTask *task, uint64_t bytes)
{
    cst_task_skip(task, bytes);
    if (task)
        task->moved += bytes;
}

CstProgress cst_task_progress(CstTask *task)
{
    CstProgress progress = {0};

    if (task) {
        progress.done = task->done;
        progress.total = task->total;
    }
    return progress;
}

void cst_task_set_owner(CstTask *task, uid_t uid, pid_t pid)
{
    if (task) {
        task->uid = uid;
        task->pid = pid;
    }
}

void cst_task_owner(CstTask *task, uid_t *ret_uid, pid_t *ret_pid)
{
    *ret_uid = task ? task->uid : geteuid();
    *ret_pid = task ? task->pid : getpid();
}

void cst_task_set_waiting(CstTask *task, gboolean waiting)
{
    /* Only if the state changes. */
    if (task && !atomic_exchange(&task->waiting, waiting) == !!waiting && task->on_wait)
        task->on_wait(waiting, task->on_wait_data);
}

gboolean cst_task_waiting(CstTask *task)
{
    return task && task->waiting;
}

void cst_task_on_wait(CstTask *task, void (*func)(gboolean waiting, gpointer data), gpointer data)
{
    task->on_wait = func;
    task->on_wait_data = data;
}

void cst_task_on_stuck(CstTask *task, void (*func)(const GError *why, gpointer data), gpointer data)
{
    g_mutex_lock(&task->lock);
    task->on_stuck = func;
    task->on_stuck_data = data;
    g_mutex_unlock(&task->lock);
}

void cst_task_tell_stuck(CstTask *task, const GError *why)
{
    if (!task)
        return;
    task->stuck = TRUE;
    g_mutex_lock(&task->lock);
    if (task->on_stuck)
        task->on_stuck(why, task->on_stuck_data);
    g_mutex_unlock(&task->lock);
}

gboolean cst_task_was_stuck(CstTask *task)
{
    return task && task->stuck;
}

gboolean cst_task_on_copy(CstTask *task, gboolean (*func)(gpointer data, GError **error),
                          gpointer data)
{
    gboolean set;

    g_mutex_lock(&task->lock);
    set = !func || !task->on_copy;
    if (set) {
        task->on_copy = func;
        task->on_copy_data = data;
    }
    g_mutex_unlock(&task->lock);
    return set;
}

gboolean cst_task_begin_copy(CstTask *task, GError **error)
{
    gboolean (*func)(gpointer data, GError * *error) = NULL;
    gpointer data = NULL;

    if (task) {
        g_mutex_lock(&task->lock);
        func = task->on_copy;
        data = task->on_copy_data;
        g_mutex_unlock(&task->lock);
    }
    return !func || func(data, error);
}

void cst_task_set_max_wait(CstTask *task, gint64 us)
{
    if (task)
        task->max_wait = us;
}

gint64 cst_task_max_wait(CstTask *task)
{
    /* No client waits for a detached job. */
    return task && !task->detached ? task->max_wait : 0;
}

void cst_task_set_part_of(CstTask *task, uint64_t group)
{
    if (task)
        task->part_of = group;
}

uint64_t cst_task_part_of(CstTask *task)
{
    return task ? task->part_of : 0;
}

void cst_task_set_kind(CstTask *task, const char *kind)
{
    if (task)
        task->kind = kind;
}

const char *cst_task_kind(CstTask *task)
{
    return task ? task->kind : NULL;
}

void cst_task_set_job(CstTask *task, uint64_t id)
{
    if (task)
        task->job = id;
}

uint64_t cst_task_job(CstTask *task)
{
    return task ? task->job : 0;
}

/* --- rate ------------------------------------------------------------------------------------ */

void cst_task_set_rate(CstTask *task, uint64_t bytes_per_s)
{
    if (!task)
        return;
    g_mutex_lock(&task->lock);
    if (bytes_per_s != task->rate) {
        task->rate = bytes_per_s;
        /* A new rate applies from now on: bytes moved before do not count. */
        task->since = g_get_monotonic_time();
        task->base = task->moved;
    }
    g_mutex_unlock(&task->lock);
}

uint64_t cst_task_rate(CstTask *task)
{
    return task ? task->rate : 0;
}

/*
 * Returns the microseconds until the moved bytes are within the rate; not positive: within the
 * rate.
 */
static gint64 ahead_by(CstTask *task)
{
    gint64 now = g_get_monotonic_time();
    gint64 due = 0;

    g_mutex_lock(&task->lock);
    if (task->rate) {
        double seconds = (double)(task->moved - task->base) / (double)task->rate;

        due = task->since + (gint64)(MIN(seconds, LONGEST_S) * G_USEC_PER_SEC);
        /* If the work is too slow, the account restarts CATCH_UP_US ago. */
        if (due < now - CATCH_UP_US) {
            task->since = now - CATCH_UP_US;
            task->base = task->moved;
        }
    }
    g_mutex_unlock(&task->lock);
    return due - now;
}

static void keep_rate(CstTask *task)
{
    gint64 wait;

    while (task->rate && !task->cancelled && (wait = ahead_by(task)) > 0) {
        CST_TEST_POINT("task.rate.wait");
        g_usleep((gulong)MIN(wait, WAIT_STEP_US));
    }
}

/* --- cancelling ------------------------------------------------------------------------------ */

void cst_task_cancel(CstTask *task)
{
    if (task)
        task->cancelled = TRUE;
}

void cst_task_detach(CstTask *task)
{
    if (task)
        task->detached = TRUE;
}

void cst_task_abandon(CstTask *task)
{
    /* A task that is already cancelled keeps its reason. */
    if (!task || task->detached || task->cancelled)
        return;
    /* The reason is set first, because a thread that sees the cancellation reports it. */
    task->abandoned = TRUE;
    CST_TEST_POINT("task.abandon.reason");
    task->cancelled = TRUE;
}

gboolean cst_task_cancelled(CstTask *task)
{
    return task && task->cancelled;
}

gboolean cst_task_check(CstTask *task, GError **error)
{
    if (task && task->rate)
        keep_rate(task);
    if (task && task->cancelled && task->abandoned)
        return cst_fail(error, CST_ERROR_CANCELLED, _("cancelled because its client is gone"));
    if (task && task->cancelled)
        return cst_fail(error, CST_ERROR_CANCELLED, _("cancelled by request"));
    return TRUE;
}
