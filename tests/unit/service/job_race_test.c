/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Jobs that end, are cancelled or abandoned by their client at certain points in time: while the
 * publishing thread has released its lock, while the process stops, and while their connection
 * ends.
 */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <service/client_jobs.h>
#include <service/jobs.h>

#include "core/job.h"
#include "core/job_entry.h"
#include "core/service.h"
#include "points.h"

static const CstClientJob import = {.kind = "import", .pool = "p", .limit = 1000};

static uint64_t begin_client_job(CstClientJobs *jobs, uint64_t *ret_handle)
{
    g_autoptr(GError) error = NULL;
    uint64_t id = 0;

    cst_client_job_begin(jobs, &import, ret_handle, &id, &error);
    assert_no_error(error);
    assert_int_not_equal(id, 0);
    return id;
}

static CstJobInfo *get_job(Fixture *f, uint64_t id)
{
    g_autoptr(GError) error = NULL;
    CstJobInfo *job = cst_service_job(f->service, id, &error);

    assert_no_error(error);
    return job;
}

static void assert_job(Fixture *f, uint64_t id, CstJobState state, const char *word)
{
    g_autoptr(CstJobInfo) job = get_job(f, id);

    assert_int_equal(job->state, state);
    if (g_strcmp0(job->error_word, word) != 0)
        fail_msg("job ends as %s instead of %s: %s", job->error_word, word, job->error);
}

static guint count_jobs(Fixture *f, gboolean ended)
{
    g_autoptr(GPtrArray) jobs = cst_service_jobs(f->service, ended);

    return jobs->len;
}

/* Waits until the publishing thread has updated all jobs once more, from the beginning. */
static void await_update(void)
{
    point_watch("jobs.update.unlocked");
    point_await("jobs.update.unlocked", 2);
}

/* --- the publishing thread -------------------------------------------------------------------- */

/* The update works with references only. The job's end is written first, and stays. */
static void job_that_ends_during_an_update_stays_ended(void **state)
{
    Fixture *f = *state;
    CstClientJobs *jobs = cst_client_jobs_new(f->service, 1, 2);
    uint64_t handle, id = begin_client_job(jobs, &handle);

    point_hold("jobs.update.unlocked");
    point_await("jobs.update.unlocked", 1);
    assert_true(cst_client_job_end(jobs, handle, NULL, NULL, NULL));
    assert_job(f, id, CST_JOB_DONE, NULL);
    point_release("jobs.update.unlocked");
    await_update();
    assert_job(f, id, CST_JOB_DONE, NULL);
    assert_int_equal(count_jobs(f, TRUE), 1);
    points_clear();
    cst_client_jobs_close(jobs);
    cst_client_jobs_free(jobs);
}

/* A job that was never listed ends while the thread is about to list it. */
static void job_that_ends_during_an_update_is_not_listed(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstTask) task = cst_task_new();
    g_auto(Job) job = {0};

    job_begin_service(&job, f->service, "refresh", "p", &task);
    point_hold("jobs.update.unlocked");
    point_await("jobs.update.unlocked", 1);
    job.entry->began -= G_USEC_PER_SEC; /* old enough to be listed */
    assert_true(job_end(&job, TRUE, NULL));
    point_release("jobs.update.unlocked");
    await_update();
    assert_int_equal(count_jobs(f, TRUE), 0);
    assert_int_equal(cst_task_job(task), 0);
    points_clear();
}

static void progress_and_requests_are_exchanged_with_each_update(void **state)
{
    Fixture *f = *state;
    CstClientJobs *jobs = cst_client_jobs_new(f->service, 1, 2);
    uint64_t handle, id = begin_client_job(jobs, &handle), limit;
    g_autoptr(CstJobInfo) job = NULL;
    gboolean cancel;

    assert_true(cst_client_job_progress(jobs, handle, 10, 100, &cancel, &limit, NULL));
    assert_false(cancel);
    assert_int_equal(limit, 1000);
    assert_true(cst_service_job_set_limit(f->service, id, 500, NULL));
    assert_true(cst_service_job_cancel(f->service, id, NULL));
    await_update();
    /* The progress does not decrease. */
    assert_true(cst_client_job_progress(jobs, handle, 5, 100, &cancel, &limit, NULL));
    assert_true(cancel);
    assert_int_equal(limit, 500);
    await_update();
    job = get_job(f, id);
    assert_int_equal(job->done, 10);
    assert_int_equal(job->total, 100);
    assert_int_equal(job->limit, 500);
    points_clear();
    assert_true(cst_client_job_end(jobs, handle, "cancelled", "it was", NULL));
    assert_job(f, id, CST_JOB_CANCELLED, "cancelled");
    cst_client_jobs_close(jobs);
    cst_client_jobs_free(jobs);
}

/* Two limits exist, in the file and in the task. The one that was set last applies. */
static void limit_of_the_task_is_kept_until_another_one_is_requested(void **state)
{
    Fixture *f = *state;
    CstTask *task = NULL;
    g_auto(Job) job = {0};
    uint64_t id;

    job_begin_service(&job, f->service, "refresh", "p", &task);
    cst_task_set_rate(task, 900);
    id = job_entry_publish(job.entry, NULL);
    cst_task_set_rate(task, 800);
    await_update();
    assert_int_equal(cst_task_rate(task), 800);
    assert_true(cst_service_job_set_limit(f->service, id, 500, NULL));
    await_update();
    assert_int_equal(cst_task_rate(task), 500);
    cst_task_set_rate(task, 700);
    await_update();
    assert_int_equal(cst_task_rate(task), 700);
    assert_true(cst_service_job_set_limit(f->service, id, 600, NULL));
    await_update();
    assert_int_equal(cst_task_rate(task), 600);
    points_clear();
    assert_true(job_end(&job, TRUE, NULL));
}

/* A new job wakes the idle thread. */
static void sleeping_thread_is_woken_by_a_job(void **state)
{
    Fixture *f = *state;
    CstClientJobs *jobs = cst_client_jobs_new(f->service, 1, 2);
    uint64_t handle;

    begin_client_job(jobs, &handle);
    point_watch("jobs.thread.sleep");
    assert_true(cst_client_job_end(jobs, handle, NULL, NULL, NULL));
    point_await("jobs.thread.sleep", 1);
    point_watch("jobs.update.unlocked");
    begin_client_job(jobs, &handle);
    point_await("jobs.update.unlocked", 1);
    points_clear();
    cst_client_jobs_close(jobs);
    cst_client_jobs_free(jobs);
}

/* --- jobs of disconnected clients ------------------------------------------------------------- */

static void close_connection(gpointer jobs)
{
    cst_client_jobs_close(jobs);
}

static void jobs_of_a_closed_connection_are_interrupted(void **state)
{
    Fixture *f = *state;
    CstClientJobs *jobs = cst_client_jobs_new(f->service, 1, 2);
    CstClientJobs *others = cst_client_jobs_new(f->service, 1, 2);
    uint64_t handles[2], other, ids[2], kept = begin_client_job(others, &other), limit, id;
    gboolean cancel;
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
        ids[i] = begin_client_job(jobs, &handles[i]);
    point_watch("job.abandon");
    cst_client_jobs_close(jobs);
    assert_int_equal(point_passed("job.abandon"), 2);
    assert_int_equal(g_atomic_int_get(&f->service->client_jobs), 1);
    assert_false(cst_client_job_progress(jobs, handles[0], 1, 2, &cancel, &limit, &error));
    assert_error(&error, CST_ERROR_NOT_FOUND);
    assert_false(cst_client_job_begin(jobs, &import, &handles[0], &id, &error));
    assert_error(&error, CST_ERROR_STATE);
    assert_int_equal(g_atomic_int_get(&f->service->client_jobs), 1);
    assert_int_equal(count_jobs(f, TRUE), 3);
    await_update();
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
        assert_job(f, ids[i], CST_JOB_INTERRUPTED, "failed");
    assert_job(f, kept, CST_JOB_RUNNING, NULL);
    assert_int_equal(g_hash_table_size(f->service->jobs->running), 1);
    points_clear();
    assert_true(cst_client_job_end(others, other, NULL, NULL, NULL));
    assert_int_equal(g_atomic_int_get(&f->service->client_jobs), 0);
    cst_client_jobs_close(others);
    cst_client_jobs_free(others);
    cst_client_jobs_free(jobs);
}

/* The thread has already ended when the connection is closed. */
static void job_left_after_the_last_update_is_interrupted(void **state)
{
    Fixture *f = *state;
    CstClientJobs *jobs = cst_client_jobs_new(f->service, 1, 2);
    uint64_t handle, id = begin_client_job(jobs, &handle);

    point_run("jobs.free.joined", close_connection, jobs);
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    points_clear();
    assert_job(f, id, CST_JOB_INTERRUPTED, "failed");
    cst_client_jobs_free(jobs);
}

/* The connection ends after its job was listed, and before its table contains the job. */
static void job_begun_on_a_connection_that_ends_is_interrupted(void **state)
{
    Fixture *f = *state;
    CstClientJobs *jobs = cst_client_jobs_new(f->service, 1, 2);
    g_autoptr(GError) error = NULL;
    uint64_t handle, id = 0;

    point_run("client_job.begin.listed", close_connection, jobs);
    assert_false(cst_client_job_begin(jobs, &import, &handle, &id, &error));
    assert_non_null(strstr(error->message, "the connection has ended"));
    assert_error(&error, CST_ERROR_STATE);
    assert_int_equal(g_atomic_int_get(&f->service->client_jobs), 0);
    await_update();
    assert_job(f, id, CST_JOB_INTERRUPTED, "failed");
    assert_int_equal(g_hash_table_size(f->service->jobs->running), 0);
    points_clear();
    cst_client_jobs_free(jobs);
}

static void place_of_each_ended_job_is_given_back(void **state)
{
    Fixture *f = *state;
    CstClientJobs *jobs = cst_client_jobs_new(f->service, 1, 2);
    uint64_t handles[CST_CLIENT_JOBS_OF_ONE], handle, id;
    g_autoptr(GError) error = NULL;

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(handles); i++)
            begin_client_job(jobs, &handles[i]);
        assert_int_equal(g_atomic_int_get(&f->service->client_jobs), CST_CLIENT_JOBS_OF_ONE);
        assert_false(cst_client_job_begin(jobs, &import, &handle, &id, &error));
        assert_non_null(strstr(error->message, "too many jobs of clients, 4 at most"));
        assert_error(&error, CST_ERROR_STATE);
        for (size_t i = 0; i < G_N_ELEMENTS(handles); i++) {
            assert_true(cst_client_job_end(jobs, handles[i], NULL, NULL, NULL));
            assert_false(cst_client_job_end(jobs, handles[i], NULL, NULL, &error));
            assert_error(&error, CST_ERROR_NOT_FOUND);
        }
        assert_int_equal(g_atomic_int_get(&f->service->client_jobs), 0);
    }
    g_atomic_int_set(&f->service->client_jobs, CST_CLIENT_JOBS);
    assert_false(cst_client_job_begin(jobs, &import, &handle, &id, &error));
    assert_non_null(strstr(error->message, "256 at most"));
    assert_error(&error, CST_ERROR_STATE);
    assert_int_equal(g_atomic_int_get(&f->service->client_jobs), CST_CLIENT_JOBS);
    g_atomic_int_set(&f->service->client_jobs, CST_CLIENT_JOBS - 1);
    begin_client_job(jobs, &handle);
    assert_true(cst_client_job_end(jobs, handle, NULL, NULL, NULL));
    g_atomic_int_set(&f->service->client_jobs, 0);
    cst_client_jobs_close(jobs);
    cst_client_jobs_free(jobs);
}

/* A job that cannot be listed does not begin, and releases its slot. */
static void place_of_a_job_that_cannot_be_listed_is_given_back(void **state)
{
    Fixture *f = *state;
    CstClientJobs *jobs = cst_client_jobs_new(f->service, 1, 2);
    const CstPaths *paths = f->service->jobs->paths;
    g_autofree char *file = g_build_filename(f->root, "file", NULL);
    g_autoptr(CstPaths) nowhere = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t handle, id;

    assert_true(g_file_set_contents(file, "", 0, NULL));
    nowhere = cst_paths_new(file);
    for (int i = 0; i < 2 * CST_CLIENT_JOBS_OF_ONE; i++) {
        f->service->jobs->paths = nowhere;
        assert_false(cst_client_job_begin(jobs, &import, &handle, &id, &error));
        f->service->jobs->paths = (CstPaths *)paths;
        g_clear_error(&error);
        assert_int_equal(g_atomic_int_get(&f->service->client_jobs), 0);
    }
    assert_int_equal(g_hash_table_size(f->service->jobs->running), 0);
    begin_client_job(jobs, &handle);
    cst_client_jobs_close(jobs);
    cst_client_jobs_free(jobs);
}

/* --- the end of the process ------------------------------------------------------------------- */

typedef struct {
    CstService *service;
    Job job;
    CstTask *task;
} Work;

static void begin_work(gpointer data)
{
    Work *work = data;

    job_begin_service(&work->job, work->service, "refresh", "p", &work->task);
}

static void assert_work_is_interrupted(Fixture *f, Work *work)
{
    uint64_t id = job_entry_publish(work->job.entry, NULL);
    g_autoptr(GError) error = NULL;

    assert_true(cst_task_cancelled(work->task));
    assert_false(cst_task_check(work->task, &error));
    assert_false(job_end(&work->job, FALSE, &error));
    assert_job(f, id, CST_JOB_INTERRUPTED, "failed");
}

/* The stop cancels each job, whether it begins before, during or after the stop. */
static void stop_cancels_each_job(void **state)
{
    Fixture *f = *state;
    Work before = {.service = f->service}, other = before, during = before, after = before;

    begin_work(&before);
    begin_work(&other);
    point_run("jobs.stop.flagged", begin_work, &during);
    cst_service_stop(f->service);
    begin_work(&after);
    assert_work_is_interrupted(f, &before);
    assert_work_is_interrupted(f, &other);
    assert_work_is_interrupted(f, &during);
    assert_work_is_interrupted(f, &after);
    points_clear();
}

/* A cancellation in the file is not confused with the stop, which comes later. */
static void cancelled_job_is_cancelled_although_the_process_stops(void **state)
{
    Fixture *f = *state;
    Work work = {.service = f->service};
    g_autoptr(GError) error = NULL;
    uint64_t id;

    begin_work(&work);
    id = job_entry_publish(work.job.entry, NULL);
    assert_true(cst_service_job_cancel(f->service, id, NULL));
    await_update();
    points_clear();
    assert_true(job_cancel_requested(&work.job));
    cst_service_stop(f->service);
    assert_false(cst_task_check(work.task, &error));
    assert_false(job_end(&work.job, FALSE, &error));
    assert_job(f, id, CST_JOB_CANCELLED, "cancelled");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(job_that_ends_during_an_update_stays_ended),
        TEST(job_that_ends_during_an_update_is_not_listed),
        TEST(progress_and_requests_are_exchanged_with_each_update),
        TEST(limit_of_the_task_is_kept_until_another_one_is_requested),
        TEST(sleeping_thread_is_woken_by_a_job),
        TEST(jobs_of_a_closed_connection_are_interrupted),
        TEST(job_left_after_the_last_update_is_interrupted),
        TEST(job_begun_on_a_connection_that_ends_is_interrupted),
        TEST(place_of_each_ended_job_is_given_back),
        TEST(place_of_a_job_that_cannot_be_listed_is_given_back),
        TEST(stop_cancels_each_job),
        TEST(cancelled_job_is_cancelled_although_the_process_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
