/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include "fake_job.h"
#include "fake_vol.h"
#include "session.h"

#define MIB (1024 * 1024)

static int setup(void **state)
{
    fake_jobs = (FakeJobs){0};
    session_setup(state);
    fake_vols_add("images", "disk", MIB, MIB);
    return 0;
}

static void test_list(void **state)
{
    const char *out = output(state, "job-list");

    assert_non_null(strstr(out, " 3    running   wipe        images   disk     25.00 MiB   "
                                "100.00 MiB   25   1.00 MiB     0:01:15     -"));
    assert_null(strstr(out, "failed"));
    out = output(state, "job-list --all");
    assert_non_null(strstr(out, "failed"));
    assert_non_null(strstr(out, " 5    done      wipe        images   -  "));
    out = output(state, "job-list --json");
    assert_non_null(strstr(out, "\"id\":3,\"state\":\"running\",\"operation\":\"wipe\""));
    assert_non_null(strstr(out, "\"percent\":25,\"rate\":1048576,\"seconds_left\":75"));
}

static void test_info(void **state)
{
    const char *out = output(state, "job-info 4");

    assert_non_null(strstr(out, "State:          failed\n"));
    assert_non_null(strstr(out, "Error:          the pool is full\n"));
    assert_non_null(strstr(output(state, "job-info 4 --json"), "\"error_code\":\"no-space\""));
    says(state, "job-info 9", CST_EXIT_NOT_FOUND, "\n", "error: no job with number 9\n");
    says(state, "job-info x", CST_EXIT_USAGE, "\n",
         "error: 'x' is no number of a job; see job-list\n");
}

/* The exit status is the job's. */
static void test_wait(void **state)
{
    gint64 left;

    says(state, "job-wait 5", CST_EXIT_OK, "Job 5 is done\n\n", "");
    assert_int_equal(fake_jobs.waited_until, 0);
    says(state, "job-wait 4", CST_EXIT_FAILED, "\n",
         "error: Job 4 was not done\nerror: the pool is full\n");
    says(state, "job-wait 3 --timeout 3600", CST_EXIT_TRY_AGAIN, "\n",
         "error: Timed out during operation: it goes on\n");
    left = fake_jobs.waited_until - g_get_monotonic_time();
    assert_in_range(left / G_TIME_SPAN_SECOND, 3000, 3600);
}

static void test_cancel(void **state)
{
    says(state, "job-cancel 3 --dry-run", CST_EXIT_OK, "Would cancel job 3\n\n", "");
    assert_int_equal(fake_jobs.cancelled, 0);
    says(state, "job-cancel 3", CST_EXIT_OK, "Job 3 was asked to stop\n\n", "");
    assert_int_equal(fake_jobs.cancelled, 3);
    says(state, "job-cancel 4", CST_EXIT_CONFLICT, "\n",
         "error: Failed to cancel job 4\nerror: Requested operation is not valid: it has "
         "ended\n");
}

static void test_rate(void **state)
{
    says(state, "job-rate 3 50M", CST_EXIT_OK, "Rate limit of job 3 changed\n\n", "");
    assert_int_equal(fake_jobs.limited, 3);
    assert_int_equal(fake_jobs.limit, 50 * MIB);
    says(state, "job-rate 3 0", CST_EXIT_OK, "Rate limit of job 3 changed\n\n", "");
    assert_int_equal(fake_jobs.limit, 0);
}

/* The connection in memory reports at once that the wipe continues as job 3. */
static void test_detach(void **state)
{
    fake_vols.detach_as = 3;
    says(state, "vol-wipe disk --pool images --detach", CST_EXIT_OK, "3\n\n", "");
    assert_false(fake_jobs.detach);
    assert_non_null(
        strstr(output(state, "vol-wipe disk --pool images --detach --json"), "\"job\":\"3\""));
    fake_vols.detach_as = 0;
    says(state, "vol-wipe disk --pool images --detach", CST_EXIT_OK, "Vol disk wiped\n\n", "");
}

static void test_rate_limit(void **state)
{
    says(state, "vol-wipe disk --pool images --rate-limit 2M", CST_EXIT_OK, "Vol disk wiped\n\n",
         "");
    assert_int_equal(fake_vols.last_rate, 2 * MIB);
    assert_int_equal(((Session *)*state)->status, CST_EXIT_OK);
    session_run(*state, "vol-wipe disk --pool images --rate-limit 2X");
    assert_int_equal(((Session *)*state)->status, CST_EXIT_USAGE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, session_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_list), TEST(test_info),   TEST(test_wait),       TEST(test_cancel),
        TEST(test_rate), TEST(test_detach), TEST(test_rate_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
