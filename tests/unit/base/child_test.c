/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/child.h>
#include <base/error.h>
#include <base/log.h>
#include <base/units.h>

#include "../descriptors.h"
#include "../logged.h"

static void run(const char *script, CstChildResult *ret_result)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const CstChild child = {.argv = argv, .timeout_s = 10};

    assert_true(cst_child_run(&child, NULL, ret_result, NULL));
}

/* The daemon's own is wider, as others have to get into directories that it makes. */
static void what_a_tool_makes_is_for_nobody_else(void **state)
{
    g_auto(CstChildResult) result = {0};
    mode_t before = umask(022);

    run("umask", &result);
    umask(before);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.out, "0077\n");
}

static void status_and_output_come_back(void **state)
{
    g_auto(CstChildResult) result = {0};

    run("echo out; echo err >&2; exit 3", &result);
    assert_int_equal(result.status, 3);
    assert_string_equal(result.out, "out\n");
    assert_string_equal(result.err, "err\n");
}

/* @script is run as *like says, and refused. */
static void assert_refused(const CstChild *like, const char *script, CstTask *task,
                           CstErrorCode code, const char *message)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    CstChild child = *like;
    g_auto(CstChildResult) result = {0};
    g_autoptr(GError) error = NULL;

    child.argv = argv;
    assert_false(cst_child_run(&child, task, &result, &error));
    assert_true(g_error_matches(error, CST_ERROR, code));
    if (message)
        assert_string_equal(error->message, message);
    assert_null(result.out);
}

static void assert_reads(const void *input, size_t len, const char *script, const char *expected)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const CstChild child = {.argv = argv, .timeout_s = 10, .input = input, .input_len = len};
    g_auto(CstChildResult) result = {0};

    assert_true(cst_child_run(&child, NULL, &result, NULL));
    assert_string_equal(result.out, expected);
}

static void input_is_read_whole_or_not_at_all(void **state)
{
    g_autofree char *much = g_malloc0(CST_MIB);

    assert_reads("secret\0value\n", 13, "tr '\\0' '-'", "secret-value\n");
    assert_reads(much, CST_MIB, "wc -c", "1048576\n");
    assert_reads(much, CST_MIB, "head -c 1 | wc -c", "1\n");
    assert_reads(much, CST_MIB, "echo later", "later\n");
    assert_reads("", 0, "wc -c", "0\n");
    assert_reads(NULL, 0, "readlink /proc/self/fd/0", "/dev/null\n");
}

static void a_signal_is_a_status(void **state)
{
    g_auto(CstChildResult) result = {0};

    run("kill -9 $$", &result);
    assert_int_equal(result.status, 128 + SIGKILL);
}

static void a_program_that_is_not_there_is_named(void **state)
{
    const char *const argv[] = {"/nosuch/program", NULL};
    const CstChild child = {.argv = argv};
    g_auto(CstChildResult) result = {0};
    g_autoptr(GError) error = NULL;

    assert_false(cst_child_run(&child, NULL, &result, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND));
    assert_true(g_str_has_prefix(error->message, "cannot run '/nosuch/program': "));
}

static void output_has_a_limit_and_errors_are_cut(void **state)
{
    const char *const argv[] = {"sh", "-c",
                                "printf 12345; head -c 70000 /dev/zero | tr '\\0' x >&2", NULL};
    const CstChild child = {.argv = argv, .timeout_s = 10, .output_limit = 5};
    const CstChild less = {.timeout_s = 10, .output_limit = 4};
    g_auto(CstChildResult) result = {0};

    assert_true(cst_child_run(&child, NULL, &result, NULL));
    assert_string_equal(result.out, "12345");
    assert_int_equal(strlen(result.err), 64 << 10);
    assert_refused(&less, "printf 12345; sleep 30", NULL, CST_ERROR_LIMIT,
                   "'sh' printed more than 4 bytes");
}

/* --- streams ---------------------------------------------------------------------------------- */

typedef struct {
    GString *text;
    size_t total, most; /* bytes; so many are enough */
    gboolean fails;
} Taken;

static gboolean take(const void *bytes, size_t length, gpointer data, gboolean *ret_enough,
                     GError **error)
{
    Taken *taken = data;

    g_string_append_len(taken->text, bytes, (gssize)MIN(length, 100));
    taken->total += length;
    *ret_enough = taken->total >= taken->most;
    return !taken->fails || cst_fail(error, CST_ERROR_CORRUPT, "nonsense");
}

/* Runs @script, whose output goes to @taken. */
static gboolean stream(const char *script, Taken *taken, CstChildResult *ret_result, GError **error)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const CstChildStream into = {.take = take, .data = taken, .silence_s = 1};
    const CstChild child = {.argv = argv, .output_limit = 5, .stream = &into};
    gboolean done;

    taken->text = g_string_new(NULL);
    taken->total = 0;
    done = cst_child_run(&child, NULL, ret_result, error);
    g_string_free(taken->text, TRUE);
    return done;
}

/* However much it is, and as long as it goes on. */
static void a_stream_is_taken_as_it_comes(void **state)
{
    g_auto(CstChildResult) result = {0};
    Taken taken = {.most = SIZE_MAX};

    assert_true(stream("head -c 5000000 /dev/zero; sleep 0.7; echo; sleep 0.7; echo no >&2; exit 3",
                       &taken, &result, NULL));
    assert_int_equal(taken.total, 5000001);
    assert_int_equal(result.status, 3);
    assert_string_equal(result.out, "");
    assert_string_equal(result.err, "no\n");
}

static void a_stream_ends_when_it_is_enough_or_wrong_or_silent(void **state)
{
    gint64 began = g_get_monotonic_time();
    g_auto(CstChildResult) result = {0};
    g_autoptr(GError) error = NULL;
    Taken taken = {.most = 1000};

    assert_true(stream("cat /dev/zero", &taken, &result, NULL));
    assert_int_equal(result.status, 0);
    assert_true(taken.total >= 1000 && taken.total < CST_MIB);
    cst_child_result_clear(&result);
    taken.fails = TRUE;
    assert_false(stream("cat /dev/zero", &taken, &result, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    g_clear_error(&error);
    taken = (Taken){.most = SIZE_MAX};
    assert_false(stream("echo 1; sleep 30", &taken, &result, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_TIMEOUT));
    assert_string_equal(error->message, "'sh' printed nothing for 1 seconds");
    assert_int_equal(taken.total, 2);
    assert_true(g_get_monotonic_time() - began < 15 * G_TIME_SPAN_SECOND);
}

/* --- ends ------------------------------------------------------------------------------------- */

/* The pid that @path holds is gone, or it takes no more than a moment. */
static void assert_gone(const char *path)
{
    g_autofree char *text = NULL;
    pid_t pid;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    pid = (pid_t)atoi(text);
    assert_true(pid > 1);
    for (int i = 0; i < 200 && kill(pid, 0) == 0; i++) {
        g_autofree char *stat_path = g_strdup_printf("/proc/%d/stat", pid);
        g_autofree char *stat_text = NULL;

        /* A zombie that nobody reaps is gone as well. */
        if (g_file_get_contents(stat_path, &stat_text, NULL, NULL) && strstr(stat_text, ") Z "))
            return;
        g_usleep(10000);
    }
    assert_int_equal(kill(pid, 0), -1);
}

static void what_takes_too_long_is_ended_with_all_that_it_has_started(void **state)
{
    const CstChild child = {.timeout_s = 1};
    g_autofree char *path = g_strdup_printf("%s/base-child-%d", g_get_tmp_dir(), getpid());
    g_autofree char *waits = g_strdup_printf("sleep 30 & echo $! > %s; wait", path);
    g_autofree char *silent = g_strdup_printf("echo $$ > %s; exec >&- 2>&-; exec sleep 30", path);

    assert_refused(&child, waits, NULL, CST_ERROR_TIMEOUT, "'sh' did not finish in 1 seconds");
    assert_gone(path);
    assert_refused(&child, silent, NULL, CST_ERROR_TIMEOUT, "'sh' did not finish in 1 seconds");
    assert_gone(path);
    unlink(path);
}

/* The daemon runs tools for as long as it lives. */
static void nothing_of_a_child_stays_open(void **state)
{
    const CstChild child = {.timeout_s = 10, .output_limit = 4};
    guint before = count_descriptors();

    for (int i = 0; i < 3; i++) {
        g_auto(CstChildResult) result = {0};

        run("echo out; echo err >&2", &result);
        assert_reads("input", 5, "cat", "input");
        assert_refused(&child, "printf 12345", NULL, CST_ERROR_LIMIT, NULL);
    }
    assert_int_equal(count_descriptors(), before);
}

static gpointer cancel_soon(gpointer task)
{
    g_usleep(50000);
    cst_task_cancel(task);
    return NULL;
}

static void a_cancelled_task_ends_it(void **state)
{
    static const char *const scripts[] = {"sleep 30", "exec >&- 2>&-; sleep 30"};
    const CstChild child = {.timeout_s = 10};

    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        g_autoptr(CstTask) task = cst_task_new();
        GThread *thread = g_thread_new("cancel", cancel_soon, task);

        assert_refused(&child, scripts[i], task, CST_ERROR_CANCELLED, NULL);
        g_thread_join(thread);
    }
}

/* As long as a child works, nobody needs the processor to wait for it. */
static void waiting_wakes_nobody(void **state)
{
    static const char *const scripts[] = {"sleep 0.3", "exec >&- 2>&-; exec sleep 0.3"};

    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        g_auto(CstChildResult) result = {0};
        struct rusage before, after;

        getrusage(RUSAGE_THREAD, &before);
        run(scripts[i], &result);
        getrusage(RUSAGE_THREAD, &after);
        assert_int_equal(result.status, 0);
        assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 1, 20);
    }
}

static gboolean no_descriptors;

int __real_pidfd_open(pid_t pid, unsigned flags);
int __wrap_pidfd_open(pid_t pid, unsigned flags);

int __wrap_pidfd_open(pid_t pid, unsigned flags)
{
    errno = EMFILE;
    return no_descriptors ? -1 : __real_pidfd_open(pid, flags);
}

static void what_cannot_be_waited_for_is_ended(void **state)
{
    const CstChild child = {.timeout_s = 10};
    g_autofree char *path = g_strdup_printf("%s/base-child-%d", g_get_tmp_dir(), getpid());
    g_autofree char *script = g_strdup_printf("echo $$ > %s; exec sleep 30", path);

    unlink(path);
    no_descriptors = TRUE;
    assert_refused(&child, script, NULL, CST_ERROR_IO, "cannot wait for 'sh': Too many open files");
    no_descriptors = FALSE;
    /* It may have been killed before it wrote. */
    if (g_file_test(path, G_FILE_TEST_EXISTS))
        assert_gone(path);
    unlink(path);
}

static void debugging_shows_what_is_run(void **state)
{
    const char *const argv[] = {"/nosuch/program", "an argument", NULL};
    const CstChild missing = {.argv = argv};
    g_auto(CstChildResult) result = {0};
    g_autoptr(GError) error = NULL;

    logged = g_string_new(NULL);
    cst_log_set_level(CST_LOG_INFO);
    run("exit 7", &result);
    assert_string_equal(logged->str, "");
    cst_log_set_level(CST_LOG_DEBUG);
    cst_child_result_clear(&result);
    run("sleep 0.01; exit 7", &result);
    assert_true(g_regex_match_simple("^runs: sh -c sleep 0.01; exit 7\n"
                                     "sh ended after [1-9]\\d+\\.\\d ms with status 7\n$",
                                     logged->str, 0, 0));
    g_string_truncate(logged, 0);
    assert_false(cst_child_run(&missing, NULL, &result, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NOT_FOUND));
    assert_true(g_regex_match_simple("^runs: /nosuch/program an argument\n"
                                     "/nosuch/program failed after \\d+\\.\\d ms: cannot run ",
                                     logged->str, 0, 0));
    cst_log_set_level(CST_LOG_WARNING);
    g_string_free(logged, TRUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_tool_makes_is_for_nobody_else),
        cmocka_unit_test(status_and_output_come_back),
        cmocka_unit_test(input_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_signal_is_a_status),
        cmocka_unit_test(a_program_that_is_not_there_is_named),
        cmocka_unit_test(output_has_a_limit_and_errors_are_cut),
        cmocka_unit_test(a_stream_is_taken_as_it_comes),
        cmocka_unit_test(a_stream_ends_when_it_is_enough_or_wrong_or_silent),
        cmocka_unit_test(what_takes_too_long_is_ended_with_all_that_it_has_started),
        cmocka_unit_test(nothing_of_a_child_stays_open),
        cmocka_unit_test(a_cancelled_task_ends_it),
        cmocka_unit_test(waiting_wakes_nobody),
        cmocka_unit_test(what_cannot_be_waited_for_is_ended),
        cmocka_unit_test(debugging_shows_what_is_run),
    };

    g_log_set_writer_func(keep_message, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
