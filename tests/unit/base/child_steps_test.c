/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Children that do not start or are killed: the remaining resources, and the order of their ends.
 */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/child.h>
#include <base/error.h>
#include <base/log.h>

#include "../descriptors.h"
#include "../logged.h"

/* The clock of the product is ahead of the real one. */
static gint64 ahead;

gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);

gint64 __wrap_g_get_monotonic_time(void)
{
    return __real_g_get_monotonic_time() + ahead;
}

static GString *ends; /* of children: "kill" and "reap", in their order */

int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);
pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);

int __wrap_kill(pid_t pid, int number)
{
    /* The group, of a child that has not been reaped: its pid is no other process's. */
    assert_true(pid < -1);
    assert_int_equal(number, SIGKILL);
    g_string_append(ends, "kill ");
    return __real_kill(pid, number);
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    g_string_append(ends, "reap ");
    return __real_waitpid(pid, status, options);
}

static int setup(void **state)
{
    ahead = 0;
    ends = g_string_new(NULL);
    logged = g_string_new(NULL);
    return 0;
}

static int teardown(void **state)
{
    g_string_free(ends, TRUE);
    g_string_free(logged, TRUE);
    return 0;
}

static gboolean run_script(const char *script, unsigned timeout_s, const CstChildStream *stream,
                           GError **error)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const CstChild child = {.argv = argv, .timeout_s = timeout_s, .stream = stream};
    g_auto(CstChildResult) result = {0};

    return cst_child_run(&child, NULL, &result, error);
}

static void assert_no_child_is_left(guint descriptors)
{
    assert_int_equal(count_descriptors(), descriptors);
    assert_int_equal(__real_waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* Sets the limit of descriptors to each number from 0 on, so that each step fails in turn. */
static void failed_start_leaks_no_descriptor_and_no_signal_mask(void **state)
{
    guint before = count_descriptors(), failures = 0;
    struct rlimit limit, less;
    sigset_t mask, mask_after;
    gboolean done = FALSE;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    for (rlim_t most = 3; !done; most++) {
        const char *const argv[] = {"true", NULL};
        const int fds[] = {STDERR_FILENO, STDOUT_FILENO};
        const CstChild child = {.argv = argv, .input = "x", .input_len = 1, .fds = fds, .n_fds = 2};
        g_auto(CstChildResult) result = {0};
        g_autoptr(GError) error = NULL;

        less = (struct rlimit){most, limit.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
        done = cst_child_run(&child, NULL, &result, &error);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(done, error == NULL);
        failures += !done;
        assert_no_child_is_left(before);
        assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask_after), 0);
        assert_memory_equal(&mask, &mask_after, NSIG / 8); /* as many as the kernel has */
    }
    assert_in_range(failures, 5, 100);
}

static void program_that_cannot_run_is_reaped(void **state)
{
    const char *const argv[] = {"/nosuch/program", NULL};
    const int fds[] = {STDERR_FILENO};
    const CstChild child = {.argv = argv, .fds = fds, .n_fds = 1};
    g_auto(CstChildResult) result = {0};
    guint before = count_descriptors();
    g_autoptr(GError) error = NULL;

    assert_false(cst_child_run(&child, NULL, &result, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_NOT_FOUND);
    assert_string_equal(error->message, "cannot run '/nosuch/program': No such file or directory");
    assert_no_child_is_left(before);
}

static void pass_time(gpointer us)
{
    ahead += *(gint64 *)us;
}

/* The time is over while the call waits, and not before. */
static void child_is_killed_as_a_group_and_then_reaped(void **state)
{
    gint64 second = G_TIME_SPAN_SECOND * 3601;
    guint before = count_descriptors();
    g_autoptr(GError) error = NULL;

    point_run("child.run.wait", pass_time, &second);
    assert_false(run_script("sleep infinity & exec sleep infinity", 3600, NULL, &error));
    points_clear();
    assert_int_equal(cst_error_code(error), CST_ERROR_TIMEOUT);
    assert_string_equal(ends->str, "kill reap ");
    assert_no_child_is_left(before);
}

static void child_that_ends_is_reaped_and_not_killed(void **state)
{
    assert_true(run_script("true", 3600, NULL, NULL));
    assert_string_equal(ends->str, "reap ");
}

/* While a child works, the thread that waits for it sleeps. */
static void waiting_for_a_child_does_not_poll(void **state)
{
    /* paced: a waiter that polls wakes often in this time */
    static const char *const scripts[] = {"sleep 0.3", "exec >&- 2>&-; exec sleep 0.3"};

    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        struct rusage before, after;

        getrusage(RUSAGE_THREAD, &before);
        assert_true(run_script(scripts[i], 3600, NULL, NULL));
        getrusage(RUSAGE_THREAD, &after);
        assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 1, 20);
    }
}

static void debugging_shows_how_long_a_child_ran(void **state)
{
    gint64 hour = G_TIME_SPAN_HOUR;

    cst_log_set_level(CST_LOG_DEBUG);
    point_run("child.run.wait", pass_time, &hour);
    assert_true(run_script("true", 7200, NULL, NULL));
    points_clear();
    cst_log_set_level(CST_LOG_WARNING);
    assert_true(g_regex_match_simple("^sh ended after 36\\d{5}\\.\\d ms with status 0$",
                                     logged->str, G_REGEX_MULTILINE, 0));
}

/* Nearly as long as the child may be silent. */
static gboolean take_slowly(const void *bytes, size_t length, gpointer data, gboolean *ret_enough,
                            GError **error)
{
    *(size_t *)data += length;
    ahead += 50 * G_TIME_SPAN_MINUTE;
    return TRUE;
}

/* Each part begins the time anew; a part has 256 KiB at most. */
static void silence_counts_from_the_last_part(void **state)
{
    gint64 more = 61 * G_TIME_SPAN_MINUTE;
    size_t total = 0;
    const CstChildStream stream = {.take = take_slowly, .data = &total, .silence_s = 3600};
    g_autoptr(GError) error = NULL;

    assert_true(run_script("head -c 1000000 /dev/zero", 0, &stream, NULL));
    assert_int_equal(total, 1000000);
    assert_true(ahead >= 4 * 50 * G_TIME_SPAN_MINUTE);
    point_run("child.run.wait", pass_time, &more);
    assert_false(run_script("exec sleep infinity", 0, &stream, &error));
    points_clear();
    assert_string_equal(error->message, "'sh' printed no output for 3600 seconds");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(failed_start_leaks_no_descriptor_and_no_signal_mask),
        CASE(program_that_cannot_run_is_reaped),
        CASE(child_is_killed_as_a_group_and_then_reaped),
        CASE(child_that_ends_is_reaped_and_not_killed),
        CASE(waiting_for_a_child_does_not_poll),
        CASE(debugging_shows_how_long_a_child_ran),
        CASE(silence_counts_from_the_last_part),
    };

    g_log_set_writer_func(keep_message, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
