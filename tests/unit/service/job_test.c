/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <store/job_files.h>

#include "points.h"
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

/* Without a limit the wipe ends at once. */
static void test_rate_is_changed(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_disk(f);
    g_autoptr(CstJobInfo) job = NULL;
    uint64_t id;
    Wipe wipe;

    /* With the old limit it would last for days. */
    wipe_begin(&wipe, pool, 1000);
    id = number_of(wipe.task);
    assert_true(cst_service_job_set_limit(f->service, id, 0, NULL));
    wipe_end(&wipe);
    assert_true(wipe.ok);
    job = wait_for(f, id, CST_JOB_DONE);
    assert_true(job->done == job->total && job->limit == 0);
}

/* The second wipe of a volume waits for the first one. It can be cancelled while it waits. */
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

static void test_failure_of_a_job_is_reported(void **state)
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

/* The thread that publishes jobs sleeps if no job exists for a while. */
static void test_seen_after_a_rest(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_disk(f);
    Wipe wipe;

    point_watch("jobs.thread.sleep");
    point_await("jobs.thread.sleep", 1);
    points_clear();
    wipe_begin(&wipe, pool, CST_MIB);
    number_of(wipe.task);
    cst_task_cancel(wipe.task);
    wipe_end(&wipe);
    assert_error(&wipe.error, CST_ERROR_CANCELLED);
}

/* Leaves a job of @kind of a process that died. */
static uint64_t leave_job(Fixture *f, const char *kind)
{
    const CstJobInfo job = {.state = CST_JOB_RUNNING,
                            .kind = (char *)kind,
                            .pool = (char *)"p",
                            .volume = (char *)"disk",
                            .started = g_get_real_time(),
                            .attempt = 1};
    g_autoptr(GError) error = NULL;
    uint64_t id = 0;
    CstJobFile *file = cst_job_file_publish(f->paths, &job, &id, &error);

    assert_no_error(error);
    cst_job_file_suspend(file, &job);
    return id;
}

/* The progress of a dead process is unknown. The journal has its unfinished changes. */
static void test_state_of_an_interrupted_job_is_reported(void **state)
{
    static const struct {
        const char *kind, *left;
    } jobs[] = {
        {"create", "finished or undone"},    {"clone", "finished or undone"},
        {"convert", "finished or undone"},   {"snapshot", "finished or undone"},
        {"upload", "written until then"},    {"wipe", "written until then"},
        {"flatten", "the volume is valid"},  {"commit", "the volume is valid"},
        {"sparsify", "the volume is valid"}, {"resize", "the volume is valid"},
        {"rebase", "the volume is valid"},   {"check", "the volume is valid"},
        {"bitmap", "the volume is valid"},   {"download", "it made no change"},
        {"compare", "it made no change"},    {"measure", "it made no change"},
        {"map", "it made no change"},        {"refresh", "it made no change"},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++) {
        g_autoptr(CstJobInfo) job = wait_for(f, leave_job(f, jobs[i].kind), CST_JOB_INTERRUPTED);

        if (!g_str_has_prefix(job->error, "the process that did it is gone; ") ||
            !strstr(job->error, jobs[i].left))
            fail_msg("%s: %s", jobs[i].kind, job->error);
        assert_string_equal(job->error_word, "failed");
    }
}

static gpointer clone_slowly(gpointer data)
{
    Wipe *clone = data;
    g_autofree char *made = NULL;

    clone->ok = cst_vol_create_from(clone->pool,
                                    "<volume><name>copy</name><target><format type='qcow2'/>"
                                    "</target></volume>",
                                    clone->pool, "full", 0, clone->task, &made, &clone->error);
    return NULL;
}

/* A job that stops in the middle has removed its unfinished changes. */
static void test_state_after_a_stop_is_reported(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = make_disk(f);
    g_autofree char *content = g_strnfill(4 * CST_MIB, 'x');
    g_autoptr(CstJobInfo) job = NULL;
    Wipe clone = {.pool = pool, .task = cst_task_new()};
    uint64_t id;

    fixture_write(f, "p", "full", content);
    cst_task_set_rate(clone.task, 1000);
    clone.thread = g_thread_new("clone", clone_slowly, &clone);
    id = number_of(clone.task);
    cst_service_stop(f->service);
    wipe_end(&clone);
    assert_error(&clone.error, CST_ERROR_CANCELLED);
    job = wait_for(f, id, CST_JOB_INTERRUPTED);
    assert_string_equal(job->error, "the daemon was stopped; no partial result is left");
    assert_string_equal(job->error_word, "failed");
    assert_false(fixture_exists(f, "p", "copy"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_seen_and_cancelled),
        TEST(test_rate_is_changed),
        TEST(test_waiting),
        TEST(test_failure_of_a_job_is_reported),
        TEST(test_short_ones_are_not_listed),
        TEST(test_seen_after_a_rest),
        TEST(test_state_of_an_interrupted_job_is_reported),
        TEST(test_state_after_a_stop_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
