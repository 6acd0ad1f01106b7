/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call that is blocked in the kernel although the storage's probe returns. */
#include "await.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/liveness.h>
#include <base/log_context.h>

#define PROBES 5 /* after each of them the keeper checks the calls */

#ifdef SYS_poll
#define POLL SYS_poll
#else
#define POLL SYS_ppoll
#endif

typedef struct {
    CstLiveness *liveness;
    CstTask *task;
    const char *fifo; /* blocks a thread that opens it; NULL: the thread waits in poll(2) */
    int pipe[2];
    gint thread, probes, told; /* atomic: the thread's number; counts */
    GMutex lock;               /* guards why */
    char *why;
} Blocked;

static gboolean touch(gpointer data, GError **error)
{
    g_atomic_int_inc(&((Blocked *)data)->probes);
    return TRUE;
}

static void take_note(const GError *why, gpointer data)
{
    Blocked *blocked = data;

    g_mutex_lock(&blocked->lock);
    g_free(blocked->why);
    blocked->why = g_strdup(why->message);
    g_mutex_unlock(&blocked->lock);
    g_atomic_int_inc(&blocked->told);
}

/* With the last probe. */
static void blocked_free(gpointer data)
{
    Blocked *blocked = data;

    g_mutex_clear(&blocked->lock);
    g_free(blocked->why);
    g_free(blocked);
}

static gpointer call_and_block(gpointer data)
{
    Blocked *blocked = data;
    struct pollfd fd = {.fd = blocked->pipe[0], .events = POLLIN};
    CstLivenessCall call;
    CstLogContext log;
    int opened = -1;

    cst_log_context_init(&log);
    log.task = blocked->task;
    cst_log_push(&log);
    assert_true(cst_liveness_enter(blocked->liveness, &call, NULL));
    g_atomic_int_set(&blocked->thread, gettid());
    if (blocked->fifo)
        opened = open(blocked->fifo, O_RDONLY | O_CLOEXEC);
    else
        assert_int_equal(poll(&fd, 1, -1), 1);
    cst_liveness_leave(blocked->liveness, &call);
    cst_log_pop(&log);
    if (opened >= 0)
        close(opened);
    return NULL;
}

static gboolean is_in(Blocked *blocked, long number)
{
    g_autofree char *path =
        g_strdup_printf("/proc/self/task/%d/syscall", g_atomic_int_get(&blocked->thread));
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) && g_ascii_isdigit(*text) &&
           g_ascii_strtoll(text, NULL, 10) == number;
}

static GThread *start_blocked(Blocked *blocked, long number)
{
    CstProbe probe = {.touch = touch, .data = blocked, .free_data = blocked_free};
    GThread *thread;

    g_mutex_init(&blocked->lock);
    blocked->liveness = cst_liveness_new(&probe, "the storage of pool 'p'");
    blocked->task = cst_task_new();
    cst_task_on_stuck(blocked->task, take_note, blocked);
    cst_task_set_max_wait(blocked->task, 1);
    thread = g_thread_new("blocked", call_and_block, blocked);
    AWAIT(is_in(blocked, number));
    return thread;
}

static void end_blocked(Blocked *blocked, GThread *thread)
{
    if (blocked->fifo)
        close(open(blocked->fifo, O_WRONLY | O_CLOEXEC));
    else
        assert_int_equal(write(blocked->pipe[1], "x", 1), 1);
    g_thread_join(thread);
    cst_task_unref(blocked->task);
    cst_liveness_unref(blocked->liveness);
}

static void call_that_blocks_is_reported_after_its_longest_wait(void **state)
{
    g_autofree char *dir = g_dir_make_tmp("liveness-XXXXXX", NULL);
    g_autofree char *fifo = g_build_filename(dir, "fifo", NULL);
    Blocked *blocked = g_new0(Blocked, 1);
    GThread *thread;

    blocked->fifo = fifo;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    thread = start_blocked(blocked, SYS_openat);
    AWAIT(g_atomic_int_get(&blocked->told) > 0);
    g_mutex_lock(&blocked->lock);
    assert_non_null(strstr(blocked->why, "a call has been blocked for"));
    g_mutex_unlock(&blocked->lock);
    end_blocked(blocked, thread);
    assert_int_equal(unlink(fifo) + rmdir(dir), 0);
}

static void call_that_waits_for_a_child_is_not_reported(void **state)
{
    Blocked *blocked = g_new0(Blocked, 1);
    GThread *thread;
    gint before;

    assert_int_equal(pipe(blocked->pipe), 0);
    thread = start_blocked(blocked, POLL);
    before = g_atomic_int_get(&blocked->probes);
    AWAIT(g_atomic_int_get(&blocked->probes) >= before + PROBES);
    assert_int_equal(g_atomic_int_get(&blocked->told), 0);
    end_blocked(blocked, thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_that_blocks_is_reported_after_its_longest_wait),
        cmocka_unit_test(call_that_waits_for_a_child_is_not_reported),
    };

    cst_liveness_times = (struct CstLivenessTimes){.patience = G_TIME_SPAN_HOUR, .period = 1000};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
