/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/child.h>
#include <base/error.h>
#include <base/log.h>
#include <base/units.h>

#include "../descriptors.h"
#include "../logged.h"
#include "await.h"

static void run(const char *script, CstChildResult *ret_result)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const CstChild child = {.argv = argv, .timeout_s = 10};

    assert_true(cst_child_run(&child, NULL, ret_result, NULL));
}

/* The daemon's own umask is wider, because other users must reach directories that it makes. */
static void files_of_a_tool_are_private(void **state)
{
    g_auto(CstChildResult) result = {0};
    mode_t before = umask(022);

    run("umask", &result);
    umask(before);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.out, "0077\n");
}

/* The program itself is searched in our own path. */
static void child_searches_programs_in_the_given_path(void **state)
{
    const char *const argv[] = {"sh", "-c", "echo $PATH; uname || echo none", NULL};
    const CstChild child = {.argv = argv, .timeout_s = 10, .search_path = "/dev/null"};
    g_auto(CstChildResult) result = {0};

    assert_true(cst_child_run(&child, NULL, &result, NULL));
    assert_string_equal(result.out, "/dev/null\nnone\n");
}

/* Bits of signals 32 and 33, which glibc reserves. */
#define LIBC_SIGNALS UINT64_C(0x180000000)

/* A worker blocks signals, the daemon ignores SIGPIPE, and libraries open descriptors without
 * close-on-exec. */
static void child_inherits_no_signal_mask_and_no_descriptor(void **state)
{
    g_auto(CstChildResult) result = {0};
    sighandler_t before = signal(SIGPIPE, SIG_IGN);
    int fd = fcntl(STDERR_FILENO, F_DUPFD, 50), found;
    uint64_t masked, ignored;
    sigset_t blocked;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    run("grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f 2; test -e /proc/$$/fd/50; echo $?",
        &result);
    assert_int_equal(fd, 50);
    assert_int_equal(sscanf(result.out, "%" SCNx64 " %" SCNx64 " %d", &masked, &ignored, &found),
                     3);
    assert_int_equal(masked & ~LIBC_SIGNALS, 0);
    assert_int_equal(ignored & ~LIBC_SIGNALS, 0);
    assert_int_equal(found, 1);
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
    signal(SIGPIPE, before);
    close(fd);
}

static void a_child_of_a_process_without_stdin_has_one(void **state)
{
    g_auto(CstChildResult) result = {0};
    int before = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);

    close(STDIN_FILENO);
    run("readlink /proc/$$/fd/0", &result);
    dup2(before, STDIN_FILENO);
    close(before);
    assert_string_equal(result.out, "/dev/null\n");
}

static void status_and_output_come_back(void **state)
{
    g_auto(CstChildResult) result = {0};

    run("echo out; echo err >&2; exit 3", &result);
    assert_int_equal(result.status, 3);
    assert_string_equal(result.out, "out\n");
    assert_string_equal(result.err, "err\n");
}

/* Runs @script with the settings of *like, and asserts the error. */
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

static void missing_program_is_named(void **state)
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
    assert_refused(&less, "printf 12345; exec sleep infinity", NULL, CST_ERROR_LIMIT,
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

/* Runs @script with its output to @taken. */
static gboolean stream(const char *script, unsigned silence_s, Taken *taken,
                       CstChildResult *ret_result, GError **error)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const CstChildStream into = {.take = take, .data = taken, .silence_s = silence_s};
    const CstChild child = {.argv = argv, .output_limit = 5, .stream = &into};
    gboolean done;

    taken->text = g_string_new(NULL);
    taken->total = 0;
    done = cst_child_run(&child, NULL, ret_result, error);
    g_string_free(taken->text, TRUE);
    return done;
}

/* However much it is; child_steps_test.c shows how long it may go on. */
static void stream_is_consumed_as_it_arrives(void **state)
{
    g_auto(CstChildResult) result = {0};
    Taken taken = {.most = SIZE_MAX};

    assert_true(
        stream("head -c 5000000 /dev/zero; echo no >&2; exit 3", 3600, &taken, &result, NULL));
    assert_int_equal(taken.total, 5000000);
    assert_int_equal(result.status, 3);
    assert_string_equal(result.out, "");
    assert_string_equal(result.err, "no\n");
}

static void a_stream_ends_when_it_is_enough_or_wrong_or_silent(void **state)
{
    g_auto(CstChildResult) result = {0};
    g_autoptr(GError) error = NULL;
    Taken taken = {.most = 1000};

    assert_true(stream("cat /dev/zero", 1, &taken, &result, NULL));
    assert_int_equal(result.status, 0);
    assert_true(taken.total >= 1000 && taken.total < CST_MIB);
    cst_child_result_clear(&result);
    taken.fails = TRUE;
    assert_false(stream("cat /dev/zero", 1, &taken, &result, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    g_clear_error(&error);
    taken = (Taken){.most = SIZE_MAX};
    assert_false(stream("echo 1; exec sleep infinity", 1, &taken, &result, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_TIMEOUT));
    assert_string_equal(error->message, "'sh' printed no output for 1 seconds");
    assert_int_equal(taken.total, 2);
}

/* --- ends ------------------------------------------------------------------------------------- */

/* An unreaped zombie counts as gone. */
static gboolean is_gone(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid);
    g_autofree char *text = NULL;

    return kill(pid, 0) < 0 ||
           (g_file_get_contents(path, &text, NULL, NULL) && strstr(text, ") Z "));
}

/* Waits until the process with the pid in @path is gone. */
static void assert_gone(const char *path)
{
    g_autofree char *text = NULL;
    pid_t pid;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    pid = (pid_t)atoi(text);
    assert_true(pid > 1);
    AWAIT_STATE(is_gone(pid), "pid %d", pid);
}

static void child_over_its_time_limit_is_ended_with_its_descendants(void **state)
{
    const CstChild child = {.timeout_s = 1};
    g_autofree char *path = g_strdup_printf("%s/base-child-%d", g_get_tmp_dir(), getpid());
    g_autofree char *waits = g_strdup_printf("sleep infinity & echo $! > %s; wait", path);
    g_autofree char *silent =
        g_strdup_printf("echo $$ > %s; exec >&- 2>&-; exec sleep infinity", path);

    assert_refused(&child, waits, NULL, CST_ERROR_TIMEOUT, "'sh' did not finish in 1 seconds");
    assert_gone(path);
    assert_refused(&child, silent, NULL, CST_ERROR_TIMEOUT, "'sh' did not finish in 1 seconds");
    assert_gone(path);
    unlink(path);
}

/* The daemon runs tools for as long as it lives. */
static void child_leaves_no_open_descriptor(void **state)
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

static void cancel_task(gpointer task)
{
    cst_task_cancel(task);
}

static void a_cancelled_task_ends_it(void **state)
{
    static const char *const scripts[] = {"exec sleep infinity",
                                          "exec >&- 2>&-; exec sleep infinity"};
    const CstChild child = {.timeout_s = 10};

    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        g_autoptr(CstTask) task = cst_task_new();

        point_run("child.run.wait", cancel_task, task);
        assert_refused(&child, scripts[i], task, CST_ERROR_CANCELLED, NULL);
        points_clear();
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

static void child_that_cannot_be_waited_for_is_ended(void **state)
{
    const CstChild child = {.timeout_s = 10};
    g_autofree char *path = g_strdup_printf("%s/base-child-%d", g_get_tmp_dir(), getpid());
    g_autofree char *script = g_strdup_printf("echo $$ > %s; exec sleep infinity", path);
    struct stat st;

    unlink(path);
    no_descriptors = TRUE;
    assert_refused(&child, script, NULL, CST_ERROR_IO, "cannot wait for 'sh': Too many open files");
    no_descriptors = FALSE;
    /* It may have been killed before it wrote. */
    if (stat(path, &st) == 0 && st.st_size > 0)
        assert_gone(path);
    unlink(path);
}

static void debug_log_has_the_command_line(void **state)
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
    run("exit 7", &result);
    assert_true(g_regex_match_simple("^runs: sh -c exit 7\n"
                                     "sh ended after \\d+\\.\\d ms with status 7\n$",
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

/* The end to read from of a pipe that holds @text. */
static int hold(const char *text)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
    close(ends[1]);
    return ends[0];
}

/* Independent of their numbers in this process, also if the numbers overlap. */
static void descriptors_are_numbered_from_3_on(void **state)
{
    static const int numbers[][2] = {{30, 40}, {4, 3}};
    const char *const argv[] = {"sh", "-c", "cat <&3; cat <&4; ls /proc/self/fd | wc -l", NULL};
    g_auto(CstChildResult) without = {0};

    run("ls /proc/self/fd | wc -l", &without);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        const int *fds = numbers[i];
        const CstChild child = {.argv = argv, .timeout_s = 10, .fds = fds, .n_fds = 2};
        g_auto(CstChildResult) result = {0};
        int one = hold("one "), other = hold("other ");

        /* As low ones are free for copies of these. */
        assert_int_equal(dup3(other, 50, O_CLOEXEC), 50);
        assert_int_equal(dup3(one, 51, O_CLOEXEC), 51);
        close(one);
        close(other);
        assert_int_equal(dup3(51, fds[0], O_CLOEXEC), fds[0]);
        assert_int_equal(dup3(50, fds[1], O_CLOEXEC), fds[1]);
        assert_true(cst_child_run(&child, NULL, &result, NULL));
        assert_true(g_str_has_prefix(result.out, "one other "));
        assert_int_equal(atoi(result.out + strlen("one other ")), atoi(without.out) + 2);
        for (int fd = 0; fd < 2; fd++) {
            close(fds[fd]);
            close(50 + fd);
        }
    }
}

/* --- watched ---------------------------------------------------------------------------------- */

typedef struct {
    GString *taken;
    guint asked;
    gboolean satisfied;
    int gate[2]; /* a pipe from which the child reads after ASKED queries; 0: no pipe */
} Watched;

#define ASKED 5

static gboolean take_all(const void *bytes, size_t length, gpointer data, gboolean *ret_enough,
                         GError **error)
{
    g_string_append_len(((Watched *)data)->taken, bytes, (gssize)length);
    return TRUE;
}

static gboolean enough(gpointer data)
{
    Watched *watched = data;

    if (++watched->asked == ASKED && watched->gate[1])
        assert_int_equal(write(watched->gate[1], "\n", 1), 1);
    return watched->satisfied && strstr(watched->taken->str, "ready");
}

static gboolean run_watched(Watched *watched, const char *script, unsigned timeout_s,
                            CstChildResult *ret_result, GError **error)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const CstChildStream watch = {.take = take_all, .data = watched, .enough = enough};
    const CstChild child = {.argv = argv,
                            .timeout_s = timeout_s,
                            .stream = &watch,
                            .fds = watched->gate,
                            .n_fds = watched->gate[1] ? 1 : 0};

    watched->taken = g_string_new(NULL);
    return cst_child_run(&child, NULL, ret_result, error);
}

static void watcher_ends_a_child_when_it_is_satisfied(void **state)
{
    g_auto(CstChildResult) result = {0};
    Watched watched = {.satisfied = TRUE};

    assert_true(run_watched(&watched, "echo ready; sleep infinity & exec sleep infinity", 30,
                            &result, NULL));
    assert_int_equal(result.status, 0);
    assert_string_equal(watched.taken->str, "ready\n");
    assert_string_equal(result.out, "");
    g_string_free(watched.taken, TRUE);
}

static void watcher_is_queried_while_no_output_comes(void **state)
{
    g_auto(CstChildResult) result = {0};
    Watched watched = {0};

    assert_int_equal(pipe2(watched.gate, O_CLOEXEC), 0);
    assert_true(run_watched(&watched, "read go <&3; echo ready; exit 3", 120, &result, NULL));
    assert_int_equal(result.status, 3);
    assert_string_equal(watched.taken->str, "ready\n");
    g_string_free(watched.taken, TRUE);
    close(watched.gate[0]);
    close(watched.gate[1]);
}

static void watched_child_has_a_time_limit_and_no_output_limit(void **state)
{
    CstChildResult result = {0};
    g_autoptr(GError) error = NULL;
    Watched watched = {0};

    assert_true(run_watched(&watched, "head -c 20000000 /dev/zero", 30, &result, NULL));
    assert_int_equal(watched.taken->len, 20000000);
    g_string_free(watched.taken, TRUE);
    cst_child_result_clear(&result);
    assert_false(run_watched(&watched, "exec sleep infinity", 1, &result, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_TIMEOUT);
    g_string_free(watched.taken, TRUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_are_numbered_from_3_on),
        cmocka_unit_test(watcher_ends_a_child_when_it_is_satisfied),
        cmocka_unit_test(watcher_is_queried_while_no_output_comes),
        cmocka_unit_test(watched_child_has_a_time_limit_and_no_output_limit),
        cmocka_unit_test(files_of_a_tool_are_private),
        cmocka_unit_test(child_searches_programs_in_the_given_path),
        cmocka_unit_test(child_inherits_no_signal_mask_and_no_descriptor),
        cmocka_unit_test(a_child_of_a_process_without_stdin_has_one),
        cmocka_unit_test(status_and_output_come_back),
        cmocka_unit_test(input_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_signal_is_a_status),
        cmocka_unit_test(missing_program_is_named),
        cmocka_unit_test(output_has_a_limit_and_errors_are_cut),
        cmocka_unit_test(stream_is_consumed_as_it_arrives),
        cmocka_unit_test(a_stream_ends_when_it_is_enough_or_wrong_or_silent),
        cmocka_unit_test(child_over_its_time_limit_is_ended_with_its_descendants),
        cmocka_unit_test(child_leaves_no_open_descriptor),
        cmocka_unit_test(a_cancelled_task_ends_it),
        cmocka_unit_test(child_that_cannot_be_waited_for_is_ended),
        cmocka_unit_test(debug_log_has_the_command_line),
    };

    g_log_set_writer_func(keep_message, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
