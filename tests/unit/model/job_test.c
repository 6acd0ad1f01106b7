/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <model/job.h>

static void every_state_has_its_word(void **state)
{
    static const struct {
        int state;
        const char *word;
        gboolean is_end;
    } rows[] = {
        {-1, "unknown", TRUE},
        {CST_JOB_RUNNING, "running", FALSE},
        {CST_JOB_WAITING, "waiting", FALSE},
        {CST_JOB_DONE, "done", TRUE},
        {CST_JOB_FAILED, "failed", TRUE},
        {CST_JOB_CANCELLED, "cancelled", TRUE},
        {CST_JOB_INTERRUPTED, "interrupted", TRUE},
        {CST_JOB_STATE_LAST, "unknown", TRUE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        assert_string_equal(cst_job_state_word(rows[i].state), rows[i].word);
        assert_int_equal(cst_job_state_is_end(rows[i].state), rows[i].is_end);
    }
}

static void remaining_time_is_estimated_only_for_a_running_job(void **state)
{
    static const struct {
        CstJobInfo job;
        int64_t seconds;
    } rows[] = {
        {{.state = CST_JOB_RUNNING, .total = 100, .done = 40, .rate = 20}, 3},
        {{.state = CST_JOB_RUNNING, .total = 100, .done = 99, .rate = 1}, 1},
        {{.state = CST_JOB_RUNNING, .total = 100, .done = 100, .rate = 1}, 0},
        {{.state = CST_JOB_RUNNING, .total = 100, .done = 140, .rate = 1}, 0},
        {{.state = CST_JOB_RUNNING, .total = 100, .done = 40, .rate = 0}, -1},
        {{.state = CST_JOB_RUNNING, .total = 0, .done = 0, .rate = 20}, -1},
        {{.state = CST_JOB_WAITING, .total = 100, .done = 40, .rate = 20}, -1},
        {{.state = CST_JOB_DONE, .total = 100, .done = 40, .rate = 20}, -1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_int_equal(cst_job_seconds_left(&rows[i].job), rows[i].seconds);
}

static void a_job_that_is_not_done_is_an_error_with_its_reason(void **state)
{
    static const struct {
        CstJobInfo job;
        int code;
        const char *text;
    } rows[] = {
        {{.state = CST_JOB_FAILED, .error = (char *)"it broke", .error_word = (char *)"no-pool"},
         CST_ERROR_NO_POOL,
         "it broke"},
        {{.state = CST_JOB_FAILED, .error = (char *)"it broke", .error_word = (char *)"of-later"},
         CST_ERROR_FAILED,
         "it broke"},
        {{.state = CST_JOB_FAILED, .error = (char *)"it broke"}, CST_ERROR_FAILED, "it broke"},
        {{.state = CST_JOB_CANCELLED, .id = 7}, CST_ERROR_FAILED, "job 7 is cancelled"},
        {{.state = CST_JOB_RUNNING, .id = 8}, CST_ERROR_FAILED, "job 8 is running"},
    };
    const CstJobInfo done = {.state = CST_JOB_DONE};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        assert_false(cst_job_check_done(&rows[i].job, &error));
        assert_true(g_error_matches(error, CST_ERROR, rows[i].code));
        assert_non_null(strstr(error->message, rows[i].text));
    }
    assert_true(cst_job_check_done(&done, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_has_its_word),
        cmocka_unit_test(remaining_time_is_estimated_only_for_a_running_job),
        cmocka_unit_test(a_job_that_is_not_done_is_an_error_with_its_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
