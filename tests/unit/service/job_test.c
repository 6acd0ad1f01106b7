/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wipe.h"

static void test_seen_and_cancelled(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_disk(f);
    g_autoptr(CstJobInfo) job = NULL;
    g_autoptr(GPtrArray) listed = NULL;
    g_autoptr(GPtrArray) going_on = NULL;
    GError *error = NULL;
    Wipe wipe;
    uint64_t id;

    wipe_begin(&wipe, pool, 4 * CST_MIB);
    id = number_of(wipe.task);
    listed = cst_service_jobs(f->service, FALSE);
    assert_int_equal(listed->len, 1);
    job = cst_service_job(f->service, id, &error);
    assert_no_error(error);
    assert_string_equal(job->kind, "wipe");
    assert_string_equal(job->pool, "p");
    assert_string_equal(job->volume, "disk");
    assert_true(job->uid == 4711 && job->pid == 4712 && job->can_cancel);
    assert_true(job->limit == 4 * CST_MIB && job->total == 64 * CST_MIB);
    assert_true(cst_service_job_cancel(f->service, id, &error));
    wipe_end(&wipe);
    assert_false(wipe.ok);
    assert_error(&wipe.error, CST_ERROR_CANCELLED);
    cst_job_info_free(g_steal_pointer(&job));
    job = wait_for(f, id, CST_JOB_CANCELLED);
    assert_true(job->done > 0 && job->done < job->total && job->ended > job->started);
    going_on = cst_service_jobs(f->service, FALSE);
    assert_int_equal(going_on->len, 0);
}

/* Nothing is left to wait for once the limit is gone. */
static void test_rate_is_changed(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_disk(f);
    g_autoptr(CstJobInfo) job = NULL;
    gint64 began = g_get_monotonic_time();
    uint64_t id;
    Wipe wipe;

    wipe_begin(&wipe, pool, CST_MIB);
    id = number_of(wipe.task);
    assert_true(cst_service_job_set_limit(f->service, id, 0, NULL));
    wipe_end(&wipe);
    assert_true(wipe.ok);
    assert_true(g_get_monotonic_time() - began < 30 * G_TIME_SPAN_SECOND);
    job = wait_for(f, id, CST_JOB_DONE);
    assert_true(job->done == job->total && job->limit == 0);
}

/* The second wipe of a volume waits for the first; it can be cancelled there too. */
static void test_waiting(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_disk(f);
    g_autoptr(CstJobInfo) job = NULL;
    Wipe first, second;

    wipe_begin(&first, pool, CST_MIB);
    number_of(first.task);
    wipe_begin(&second, pool, 0);
    job = wait_for(f, number_of(second.task), CST_JOB_WAITING);
    assert_true(cst_service_job_cancel(f->service, job->id, NULL));
    wipe_end(&second);
    assert_error(&second.error, CST_ERROR_CANCELLED);
    cst_task_cancel(first.task);
    wipe_end(&first);
    assert_error(&first.error, CST_ERROR_CANCELLED);
}

static void test_failure_is_told(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_disk(f);
    g_autoptr(CstUpload) upload = NULL;
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(CstJobInfo) job = NULL;
    GError *error = NULL;
    uint64_t id;

    upload = cst_vol_upload(pool, "disk", 0, 4, 0, task, &error);
    assert_no_error(error);
    id = number_of(task);
    assert_false(cst_upload_write(upload, "12345", 5, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    job = wait_for(f, id, CST_JOB_FAILED);
    assert_string_equal(job->error_word, "no-space");
    assert_true(job->done == 4 && job->total == 4);
    assert_false(cst_job_check_done(job, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
}

static void test_short_ones_are_not_listed(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_disk(f);
    g_autoptr(GPtrArray) before = cst_service_jobs(f->service, TRUE);
    g_autoptr(GPtrArray) after = NULL;

    for (int i = 0; i < 20; i++)
        assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    after = cst_service_jobs(f->service, TRUE);
    assert_int_equal(after->len, before->len);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_seen_and_cancelled), TEST(test_rate_is_changed),           TEST(test_waiting),
        TEST(test_failure_is_told),    TEST(test_short_ones_are_not_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
