/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The steps in which job files are written, and readers that meet a worker which ends its job. */
#include "points.h"
#include "recorder.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/file.h>
#include <store/job_files.h>

#include "../logged.h"

typedef struct {
    Scratch *scratch;
    CstPaths *paths;
    char *dir;
    CstJobFile *file; /* of the worker; NULL: it has ended */
    guint resumed;
} Fixture;

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    int status = scratch_setup((void **)&f->scratch);

    f->paths = f->scratch->paths;
    f->dir = g_build_filename(f->paths->data_dir, "jobs", NULL);
    logged = g_string_new(NULL);
    *state = f;
    return status || g_mkdir_with_parents(f->dir, 0700);
}

static int teardown(void **state)
{
    Fixture *f = *state;
    int status = scratch_teardown((void **)&f->scratch);

    g_string_free(logged, TRUE);
    g_free(f->dir);
    g_free(f);
    return status;
}

static CstJobInfo job_in(CstJobState job_state, const char *resume)
{
    return (CstJobInfo){.state = job_state,
                        .kind = (char *)"clone",
                        .pool = (char *)"images",
                        .resume = (char *)resume,
                        .ended = job_state == CST_JOB_RUNNING ? 0 : g_get_real_time()};
}

static uint64_t publish_job(Fixture *f, const char *resume, GError **error)
{
    const CstJobInfo job = job_in(CST_JOB_RUNNING, resume);
    uint64_t id = 0;

    f->file = cst_job_file_publish(f->paths, &job, &id, error);
    return f->file ? id : 0;
}

static void end_job(gpointer data)
{
    const CstJobInfo job = job_in(CST_JOB_DONE, "3");
    Fixture *f = data;

    cst_job_file_end(g_steal_pointer(&f->file), &job);
}

static void assert_state(const Fixture *f, uint64_t id, CstJobState expected)
{
    g_autoptr(CstJobInfo) job = cst_job_file_load(f->paths, id, NULL);

    assert_non_null(job);
    assert_int_equal(job->state, expected);
}

static gboolean has_file(const Fixture *f, const char *name)
{
    return scratch_mode(f->dir, name) != -1;
}

static void count_resumed(CstJobFile *file, CstJobInfo *job, gpointer data)
{
    ((Fixture *)data)->resumed++;
    cst_job_file_suspend(file, job);
    cst_job_info_free(job);
}

/* --- numbers ---------------------------------------------------------------------------------- */

#define NUMBERED  "create next; lock next; write next; datasync next; "
#define PUBLISHED "create 1.new; write 1.new; lock 1.new; rename 1.new 1.job"

static void number_is_synced_before_the_job_has_it(void **state)
{
    Fixture *f = *state;
    g_autofree char *first = NULL, *second = NULL;

    recorder_begin(f->dir);
    assert_int_equal(publish_job(f, NULL, NULL), 1);
    first = recorder_end();
    assert_string_equal(first, NUMBERED "open .; sync .; " PUBLISHED);
    end_job(f);
    recorder_begin(f->dir);
    assert_int_equal(publish_job(f, NULL, NULL), 2);
    second = recorder_end();
    assert_string_equal(second, NUMBERED "create 2.new; write 2.new; lock 2.new; "
                                         "rename 2.new 2.job");
    end_job(f);
}

/* Only the file of numbers is left, and its lock is free. */
static void failed_step_publishes_no_job(void **state)
{
    Fixture *f = *state;
    g_autofree char *clean = g_strdup_printf("rm -f '%s'/*", f->dir);

    for (guint step = 1; step <= 10; step++) {
        g_autofree char *text = NULL;
        g_auto(GStrv) names = NULL;
        g_autoptr(GError) error = NULL;

        recorder_begin_failing(f->dir, step, EIO);
        assert_int_equal(publish_job(f, NULL, &error), 0);
        text = recorder_end();
        assert_int_equal(cst_error_code(error), CST_ERROR_IO);
        names = cst_kernel_list(f->dir);
        assert_true(g_strv_length(names) <= 1 && (!names[0] || strcmp(names[0], "next") == 0));
        assert_true(publish_job(f, NULL, NULL) > 0);
        end_job(f);
        assert_int_equal(g_strv_length(names), step > 1);
        assert_int_equal(system(clean), 0);
    }
}

/* The name of the file of numbers is synced by the next call. */
static void number_that_may_not_be_durable_is_not_assigned(void **state)
{
    Fixture *f = *state;
    g_autofree char *text = NULL;

    point_watch("job.number.undo");
    recorder_begin_failing(f->dir, 6, EIO);
    assert_int_equal(publish_job(f, NULL, NULL), 0);
    g_free(recorder_end());
    points_clear();
    recorder_begin(f->dir);
    assert_int_equal(publish_job(f, NULL, NULL), 1);
    text = recorder_end();
    assert_string_equal(text, NUMBERED "open .; sync .; " PUBLISHED);
    end_job(f);
}

static gboolean numbers_are_locked(const Fixture *f)
{
    g_autofree char *next = g_build_filename(f->dir, "next", NULL);
    g_auto(CstFd) fd = open(next, O_RDWR | O_CLOEXEC);
    struct flock query = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    assert_int_equal(fcntl(fd, F_OFD_GETLK, &query), 0);
    return query.l_type != F_UNLCK;
}

static void assert_numbers_locked(gpointer data)
{
    assert_true(numbers_are_locked(data));
}

static void check_numbers_and_suspend(CstJobFile *file, CstJobInfo *job, gpointer data)
{
    assert_true(numbers_are_locked(data));
    count_resumed(file, job, data);
}

/* Until the file of the job exists, and while files of other processes are recovered. */
static void numbers_are_locked_while_files_are_made_and_recovered(void **state)
{
    Fixture *f = *state;
    const CstJobInfo job = job_in(CST_JOB_INTERRUPTED, "3");

    point_run("job.published", assert_numbers_locked, f);
    assert_int_equal(publish_job(f, "3", NULL), 1);
    points_clear();
    assert_false(numbers_are_locked(f));
    cst_job_file_suspend(f->file, &job);
    cst_job_files_recover(f->paths, check_numbers_and_suspend, f);
    assert_int_equal(f->resumed, 1);
    assert_false(numbers_are_locked(f));
}

/* The oldest ones are removed, as many as are too many, while the numbers are locked. */
static void ended_jobs_are_pruned_under_the_lock(void **state)
{
    Fixture *f = *state;
    g_autofree char *text = NULL;

    for (guint i = 1; i <= CST_JOBS_KEPT + 2; i++) {
        g_autofree char *name = g_strdup_printf("%u.done", i);

        scratch_put(f->dir, name, "");
    }
    recorder_begin(f->dir);
    recorder_run("remove 1.done", assert_numbers_locked, f);
    assert_int_equal(publish_job(f, NULL, NULL), CST_JOBS_KEPT + 3);
    text = recorder_end();
    assert_true(g_str_has_suffix(text, ".job; remove 1.done; remove 2.done"));
    end_job(f);
}

/* It may be listed under both names while it is renamed. */
static void job_with_two_names_is_listed_once(void **state)
{
    Fixture *f = *state;
    g_autofree char *live = g_build_filename(f->dir, "1.job", NULL);
    g_autofree char *ended = g_build_filename(f->dir, "1.done", NULL);
    g_autoptr(GPtrArray) jobs = NULL;

    assert_int_equal(publish_job(f, NULL, NULL), 1);
    assert_int_equal(link(live, ended), 0);
    jobs = cst_job_files_load(f->paths);
    assert_int_equal(jobs->len, 1);
    end_job(f);
}

static void requests_of_a_damaged_file_are_ignored(void **state)
{
    Fixture *f = *state;
    g_autofree char *live = g_build_filename(f->dir, "1.job", NULL);
    gboolean cancel = TRUE;
    uint64_t limit = 7;

    assert_int_equal(publish_job(f, NULL, NULL), 1);
    assert_int_equal(truncate(live, 1), 0);
    cst_job_file_read_requests(f->file, &cancel, &limit);
    assert_true(!cancel && limit == 7);
    end_job(f);
}

static void dry_run_sends_no_request(void **state)
{
    CstJobInfo job = job_in(CST_JOB_RUNNING, NULL);
    Fixture *f = *state;
    gboolean cancel;
    uint64_t limit;

    job.can_cancel = TRUE;
    f->file = cst_job_file_publish(f->paths, &job, &limit, NULL);
    cst_dry_run_set(TRUE);
    assert_false(cst_job_file_cancel(f->paths, 1, NULL));
    assert_false(cst_job_file_set_limit(f->paths, 1, 7, NULL));
    cst_dry_run_set(FALSE);
    cst_job_file_read_requests(f->file, &cancel, &limit);
    assert_true(!cancel && limit == 0);
    end_job(f);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void end_is_synced_before_the_rename_where_the_job_could_be_resumed(void **state)
{
    static const char *const steps[] = {"write 1.job; datasync 1.job; rename 1.job 1.done",
                                        "write 2.job; rename 2.job 2.done"};
    Fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        const CstJobInfo job = job_in(CST_JOB_DONE, i == 0 ? "3" : NULL);
        g_autofree char *text = NULL;

        assert_int_equal(publish_job(f, job.resume, NULL), i + 1);
        recorder_begin(f->dir);
        cst_job_file_end(f->file, &job);
        text = recorder_end();
        assert_string_equal(text, steps[i]);
    }
}

/* It is logged, and the job is not done again. */
static void job_ends_even_if_a_step_of_its_end_fails(void **state)
{
    static const char *const messages[] = {NULL, "cannot sync '", "cannot rename '"};
    Fixture *f = *state;

    for (guint step = 1; step <= 3; step++) {
        uint64_t id = publish_job(f, "3", NULL);
        g_autofree char *live = g_strdup_printf("%d.job", (int)id);

        g_string_truncate(logged, 0);
        recorder_begin_failing(f->dir, step, EIO);
        end_job(f);
        g_free(recorder_end());
        assert_true(!messages[step - 1] || g_str_has_prefix(logged->str, messages[step - 1]));
        assert_state(f, id, step == 1 ? CST_JOB_INTERRUPTED : CST_JOB_DONE);
        assert_int_equal(has_file(f, live), step == 3);
        cst_job_files_recover(f->paths, count_resumed, f);
        assert_int_equal(f->resumed, 0);
        assert_false(has_file(f, live));
        assert_state(f, id, step == 1 ? CST_JOB_INTERRUPTED : CST_JOB_DONE);
    }
}

/* --- readers that meet the end ---------------------------------------------------------------- */

static void job_that_ends_during_the_check_of_its_lock_is_done(void **state)
{
    Fixture *f = *state;

    assert_int_equal(publish_job(f, NULL, NULL), 1);
    point_run("job.read.lock", end_job, f);
    assert_state(f, 1, CST_JOB_DONE);
    points_clear();
}

static void job_that_ends_between_its_two_names_is_found(void **state)
{
    Fixture *f = *state;

    assert_int_equal(publish_job(f, NULL, NULL), 1);
    point_run("job.load.opened", end_job, f);
    assert_state(f, 1, CST_JOB_DONE);
    points_clear();
}

static void request_to_a_job_that_ends_at_the_same_time_is_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    assert_int_equal(publish_job(f, NULL, NULL), 1);
    point_run("job.read.lock", end_job, f);
    assert_false(cst_job_file_set_limit(f->paths, 1, 7, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_STATE);
    points_clear();
}

static void job_that_ends_before_the_lock_is_not_recovered(void **state)
{
    Fixture *f = *state;

    assert_int_equal(publish_job(f, "3", NULL), 1);
    point_run("job.recover.opened", end_job, f);
    cst_job_files_recover(f->paths, count_resumed, f);
    points_clear();
    assert_int_equal(f->resumed, 0);
    assert_state(f, 1, CST_JOB_DONE);
    assert_string_equal(logged->str, "");
}

/* The same, but for a record that was read before the lock. */
static void job_that_ends_at_the_lock_is_not_recovered(void **state)
{
    Fixture *f = *state;

    assert_int_equal(publish_job(f, "3", NULL), 1);
    recorder_begin(f->dir);
    recorder_run("lock 1.job", end_job, f);
    cst_job_files_recover(f->paths, count_resumed, f);
    g_free(recorder_end());
    assert_int_equal(f->resumed, 0);
    assert_state(f, 1, CST_JOB_DONE);
    assert_string_equal(logged->str, "");
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(number_is_synced_before_the_job_has_it),
        CASE(failed_step_publishes_no_job),
        CASE(number_that_may_not_be_durable_is_not_assigned),
        CASE(numbers_are_locked_while_files_are_made_and_recovered),
        CASE(ended_jobs_are_pruned_under_the_lock),
        CASE(job_with_two_names_is_listed_once),
        CASE(requests_of_a_damaged_file_are_ignored),
        CASE(dry_run_sends_no_request),
        CASE(end_is_synced_before_the_rename_where_the_job_could_be_resumed),
        CASE(job_ends_even_if_a_step_of_its_end_fails),
        CASE(job_that_ends_during_the_check_of_its_lock_is_done),
        CASE(job_that_ends_between_its_two_names_is_found),
        CASE(request_to_a_job_that_ends_at_the_same_time_is_refused),
        CASE(job_that_ends_before_the_lock_is_not_recovered),
        CASE(job_that_ends_at_the_lock_is_not_recovered),
    };

    g_log_set_writer_func(keep_message, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
