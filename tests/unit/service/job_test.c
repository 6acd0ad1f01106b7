/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <service/jobs.h>
#include <service/volumes.h>

#include "fixture.h"

#define PATIENCE_US (20 * G_TIME_SPAN_SECOND)

/* A wipe in a thread of its own. */
typedef struct {
    CstPool *pool;
    CstTask *task;
    GThread *thread;
    GError *error;
    gboolean ok;
} Wipe;

static gpointer run_wipe(gpointer data)
{
    Wipe *wipe = data;

    wipe->ok = cst_vol_wipe(wipe->pool, "disk", CST_WIPE_RANDOM, 0, wipe->task, &wipe->error);
    return NULL;
}

static void wipe_begin(Wipe *wipe, CstPool *pool, uint64_t rate)
{
    *wipe = (Wipe){.pool = pool, .task = cst_task_new()};
    cst_task_set_rate(wipe->task, rate);
    cst_task_set_owner(wipe->task, 4711, 4712);
    wipe->thread = g_thread_new("wipe", run_wipe, wipe);
}

static void wipe_end(Wipe *wipe)
{
    g_thread_join(wipe->thread);
    cst_task_unref(wipe->task);
}

static CstPool *make_disk(Fixture *f)
{
    CstPool *pool = fixture_pool(f, "p");
    g_autofree char *name = NULL;
    GError *error = NULL;

    cst_vol_create(pool,
                   "<volume><name>disk</name><capacity unit='MiB'>64</capacity>"
                   "<allocation>0</allocation></volume>",
                   0, NULL, &name, &error);
    assert_no_error(error);
    return pool;
}

static uint64_t number_of(CstTask *task)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;

    while (!cst_task_job(task) && g_get_monotonic_time() < end)
        g_usleep(10000);
    assert_int_not_equal(cst_task_job(task), 0);
    return cst_task_job(task);
}

/* The job once it is in @state. */
static CstJobInfo *wait_for(Fixture *f, uint64_t id, CstJobState state)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    CstJobInfo *job = cst_service_job(f->service, id, NULL);

    while (job && job->state != state && g_get_monotonic_time() < end) {
        cst_job_info_free(job);
        g_usleep(10000);
        job = cst_service_job(f->service, id, NULL);
    }
    assert_true(job && job->state == state);
    return job;
}

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
