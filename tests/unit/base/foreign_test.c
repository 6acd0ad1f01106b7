/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The end of a process that uses libraries with threads of their own. Each case is a child. */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/foreign.h>

/* A wait that ends without a reason, as POSIX allows; the next one does not end. */
static gint spurious;

void __real_g_cond_wait(GCond *cond, GMutex *mutex);
void __wrap_g_cond_wait(GCond *cond, GMutex *mutex);

void __wrap_g_cond_wait(GCond *cond, GMutex *mutex)
{
    if (!g_atomic_int_compare_and_exchange(&spurious, 1, 0))
        __real_g_cond_wait(cond, mutex);
}

/* Returns the exit status of a child that runs @work and ends as main() does. */
static int status_of(void (*work)(void))
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        work();
        exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void end_unused(void)
{
    cst_foreign_end(3);
}

static void end_after_leave(void)
{
    cst_foreign_enter();
    cst_foreign_enter();
    cst_foreign_leave();
    cst_foreign_leave();
    cst_foreign_end(3);
}

static void end_connected(void)
{
    cst_foreign_enter();
    cst_foreign_enter();
    cst_foreign_leave();
    cst_foreign_end(3);
}

static void end_after_load(void)
{
    static const char *const names[] = {"libnosuch.so.0", NULL};
    static CstForeign libraries; /* reachable to the end of the process, for LeakSanitizer */

    cst_foreign_open(&libraries, names);
    if (!libraries.problem || cst_foreign_find(&libraries, "nosuch"))
        exit(4);
    cst_foreign_end(3);
}

static void process_ends_early_only_with_a_connection(void **state)
{
    assert_int_equal(status_of(end_unused), 0);
    assert_int_equal(status_of(end_after_leave), 0);
    assert_int_equal(status_of(end_connected), 3);
    assert_int_equal(status_of(end_after_load), 0);
}

static int printed_to;

static void print_and_end_connected(void)
{
    dup2(printed_to, STDOUT_FILENO);
    printf("printed");
    cst_foreign_enter();
    cst_foreign_end(3);
}

static void early_end_flushes_its_output(void **state)
{
    char text[16] = "";
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    printed_to = ends[1];
    assert_int_equal(status_of(print_and_end_connected), 3);
    close(ends[1]);
    assert_int_equal(read(ends[0], text, sizeof(text)), strlen("printed"));
    assert_string_equal(text, "printed");
    close(ends[0]);
}

static void exit_with_5(void)
{
    _exit(5);
}

/* The destructor that was registered before ours would end the process with 5. */
static void exit_connected(void)
{
    atexit(exit_with_5);
    cst_foreign_loaded();
    cst_foreign_enter();
    exit(3);
}

static void exit_after_connect(void)
{
    cst_foreign_loaded();
    cst_foreign_enter();
    atexit(exit_with_5); /* by a library, while it connects */
    cst_foreign_connected();
    exit(3);
}

static void exit_disconnected(void)
{
    atexit(exit_with_5);
    cst_foreign_loaded();
    cst_foreign_enter();
    cst_foreign_leave();
    exit(3);
}

static void exit_skips_destructors_of_a_connected_library(void **state)
{
    assert_int_equal(status_of(exit_connected), 3);
    assert_int_equal(status_of(exit_after_connect), 3);
    assert_int_equal(status_of(exit_disconnected), 5);
}

static gpointer enter_late(gpointer unused)
{
    cst_foreign_enter();
    _exit(6);
    return NULL;
}

/* The thread comes to the wait a second time, and does not go on. */
static void enter_after_the_end(void)
{
    cst_foreign_end(3);
    spurious = 1;
    point_watch("foreign.enter.wait");
    g_thread_unref(g_thread_new("late", enter_late, NULL));
    point_await("foreign.enter.wait", 2);
    cst_foreign_end(7);
}

static void connection_after_the_end_is_not_begun(void **state)
{
    assert_int_equal(status_of(enter_after_the_end), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_ends_early_only_with_a_connection),
        cmocka_unit_test(early_end_flushes_its_output),
        cmocka_unit_test(exit_skips_destructors_of_a_connected_library),
        cmocka_unit_test(connection_after_the_end_is_not_begun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
