/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error.h>
#include <base/units.h>

#include <json-glib/json-glib.h>

#include "core/ctl.h"
#include "core/interrupt.h"
#include "groups.h"
#include "output/progress.h"

static void figures_are_computed_from_the_progress(void **state)
{
    CliProgressFigures figures;

    cli_progress_compute((CstProgress){.done = 250, .total = 1000}, 5.0, &figures);
    assert_int_equal(figures.percent, 25);
    assert_int_equal(figures.rate, 50);
    assert_int_equal(figures.eta_s, 15);
    cli_progress_compute((CstProgress){.done = 1200, .total = 1000}, 5.0, &figures);
    assert_int_equal(figures.percent, 100);
    assert_int_equal(figures.eta_s, 0);
}

static void unknown_progress_gives_no_remaining_time(void **state)
{
    CliProgressFigures figures;

    cli_progress_compute((CstProgress){.done = 5}, 1.0, &figures);
    assert_true(figures.eta_s < 0);
    cli_progress_compute((CstProgress){.total = 5}, 0.0, &figures);
    assert_true(figures.eta_s < 0);
    assert_int_equal(figures.rate, 0);
}

static void shows(const char *label, CstProgress progress, double seconds, int columns,
                  const char *expected)
{
    CliProgressFigures figures;
    g_autofree char *text = NULL;

    cli_progress_compute(progress, seconds, &figures);
    text = cli_progress_text(label, progress, &figures, columns);
    assert_string_equal(text, expected);
}

static void a_bar_has_percent_rate_and_time_left(void **state)
{
    shows("Wiping v", (CstProgress){CST_GIB, 4 * CST_GIB}, 4.0, 80,
          "Wiping v [######.....................]  25%  1.0 GiB  256.0 MiB/s  0:00:12 left");
}

static void the_bar_gives_way_on_a_narrow_terminal(void **state)
{
    shows("Wiping v", (CstProgress){CST_GIB, 4 * CST_GIB}, 4.0, 40,
          "Wiping v  25%  1.0 GiB  256.0 MiB/s  0:00:12 left");
    shows("Copying v", (CstProgress){CST_MIB, 0}, 1.0, 80, "Copying v  1.0 MiB  1.0 MiB/s");
}

/** The behaviour of a test's task. */
typedef struct {
    gboolean fail;
    gboolean until_cancelled;
    gboolean interrupt;
    int shown; /* fd of a file: the interrupt comes when it has content; -1: at once */
} Job;

/** Waits until progress is in the file @fd. */
static void await_content(int fd)
{
    gint64 end = g_get_monotonic_time() + 120 * G_TIME_SPAN_SECOND;
    struct stat info;

    do {
        assert_int_equal(fstat(fd, &info), 0);
        if (g_get_monotonic_time() > end)
            fail_msg("waited 120 s for progress to be shown");
        g_usleep(1000); /* paced: between two checks of the file */
    } while (info.st_size == 0);
}

static gboolean work(CstTask *task, gpointer data, GError **error)
{
    const Job *job = data;

    cst_task_set_total(task, 100);
    cst_task_advance(task, 50);
    if (job->interrupt) {
        if (job->shown >= 0)
            await_content(job->shown);
        /* The kernel may choose any thread, and this one has no handler's state. */
        pthread_kill(pthread_self(), SIGINT);
    }
    while (job->until_cancelled) {
        if (!cst_task_check(task, error))
            return FALSE;
        g_usleep(1000); /* paced: between two checks of the task */
    }
    return !job->fail || cst_fail(error, CST_ERROR_IO, "it broke");
}

static gboolean run(Job *job, gboolean json, char **ret_err, GError **error)
{
    const CliCommand command = {.name = "test"};
    g_autoptr(GArray) none = g_array_new(FALSE, FALSE, sizeof(CliArg));
    const CliArgs args = {.command = &command, .items = none};
    const CliSettings settings = {.json = json};
    CliCtl ctl;
    gboolean ok;
    long len;

    cli_ctl_init(&ctl, &settings, cli_groups());
    ctl.current = &args;
    ctl.err = tmpfile();
    assert_non_null(ctl.err);
    if (job->shown >= 0)
        job->shown = fileno(ctl.err);
    ok = cli_run_task(&ctl, "Testing", work, job, error);
    len = ftell(ctl.err);
    rewind(ctl.err);
    *ret_err = calloc(1, (size_t)len + 1);
    assert_int_equal(fread(*ret_err, 1, (size_t)len, ctl.err), len);
    fclose(ctl.err);
    cli_ctl_clear(&ctl);
    return ok;
}

static void short_work_prints_no_progress(void **state)
{
    Job job = {0};
    char *err = NULL;

    assert_true(run(&job, FALSE, &err, NULL));
    assert_string_equal(err, "");
    free(err);
}

static void failure_of_the_work_is_the_result(void **state)
{
    Job job = {.fail = TRUE};
    g_autoptr(GError) error = NULL;
    char *err = NULL;

    assert_false(run(&job, FALSE, &err, &error));
    assert_string_equal(error->message, "it broke");
    free(err);
}

static void interrupt_cancels_the_work(void **state)
{
    Job job = {.until_cancelled = TRUE, .interrupt = TRUE, .shown = -1};
    g_autoptr(GError) error = NULL;
    char *err = NULL;

    assert_false(run(&job, FALSE, &err, &error));
    assert_int_equal(error->code, CST_ERROR_CANCELLED);
    free(err);
}

static void json_progress_is_an_object_a_second(void **state)
{
    Job job = {.until_cancelled = TRUE, .interrupt = TRUE};
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *event;
    char *err = NULL;

    assert_false(run(&job, TRUE, &err, &error));
    assert_non_null(strchr(err, '\n'));
    assert_true(json_parser_load_from_data(parser, err, -1, NULL));
    event = json_node_get_object(json_parser_get_root(parser));
    assert_int_equal(json_object_get_int_member(event, "schema"), 1);
    assert_string_equal(json_object_get_string_member(event, "event"), "progress");
    assert_int_equal(json_object_get_int_member(event, "done"), 50);
    assert_int_equal(json_object_get_int_member(event, "total"), 100);
    free(err);
}

static void an_interrupt_before_the_work_cancels_it(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    struct sigaction before, after;

    sigaction(SIGINT, NULL, &before);
    cli_interrupt_begin();
    raise(SIGINT);
    cli_interrupt_begin_task(task);
    assert_true(cst_task_cancelled(task));
    cli_interrupt_end();
    assert_true(cli_interrupted());
    cli_interrupt_end();
    sigaction(SIGINT, NULL, &after);
    assert_ptr_equal(after.sa_handler, before.sa_handler);
}

static void a_second_interrupt_ends_the_program(void **state)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        cli_interrupt_begin();
        raise(SIGINT);
        if (!cli_interrupted())
            _exit(1);
        raise(SIGINT);
        _exit(2);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_computed_from_the_progress),
        cmocka_unit_test(unknown_progress_gives_no_remaining_time),
        cmocka_unit_test(a_bar_has_percent_rate_and_time_left),
        cmocka_unit_test(the_bar_gives_way_on_a_narrow_terminal),
        cmocka_unit_test(short_work_prints_no_progress),
        cmocka_unit_test(failure_of_the_work_is_the_result),
        cmocka_unit_test(interrupt_cancels_the_work),
        cmocka_unit_test(json_progress_is_an_object_a_second),
        cmocka_unit_test(an_interrupt_before_the_work_cancels_it),
        cmocka_unit_test(a_second_interrupt_ends_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
