/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error.h>
#include <store/job_files.h>

typedef struct {
    char *root;
    CstPaths *paths;
} Root;

static int setup(void **state)
{
    Root *root = g_new0(Root, 1);

    root->root = g_dir_make_tmp("cst-jobs-XXXXXX", NULL);
    root->paths = cst_paths_new(root->root);
    *state = root;
    return 0;
}

static int teardown(void **state)
{
    Root *root = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", root->root);
    int status = system(command);

    cst_paths_free(root->paths);
    g_free(root->root);
    g_free(root);
    return status;
}

static CstJobInfo sample(void)
{
    static char kind[] = "clone", pool[] = "images", volume[] = "a";

    return (CstJobInfo){.kind = kind,
                        .pool = pool,
                        .volume = volume,
                        .uid = 7,
                        .pid = 8,
                        .can_cancel = TRUE,
                        .started = 1000,
                        .limit = 5};
}

static void assert_code(GError **error, int code)
{
    assert_non_null(*error);
    assert_int_equal((*error)->code, code);
    g_clear_error(error);
}

static CstJobInfo *load(Root *root, uint64_t id)
{
    g_autoptr(GError) error = NULL;
    CstJobInfo *job = cst_job_file_load(root->paths, id, &error);

    assert_null(error);
    return job;
}

static void test_a_life(void **state)
{
    Root *root = *state;
    g_autoptr(CstJobInfo) seen = NULL;
    g_autoptr(GPtrArray) all = NULL;
    g_autoptr(GError) error = NULL;
    CstJobInfo job = sample();
    uint64_t id = 0, limit = 0;
    gboolean cancel = TRUE;
    CstJobFile *file = cst_job_file_publish(root->paths, &job, &id, &error);

    assert_null(error);
    assert_int_equal(id, 1);
    seen = load(root, id);
    assert_string_equal(seen->kind, "clone");
    assert_string_equal(seen->pool, "images");
    assert_string_equal(seen->volume, "a");
    assert_int_equal(seen->state, CST_JOB_RUNNING);
    assert_true(seen->uid == 7 && seen->pid == 8 && seen->started == 1000 && seen->limit == 5);
    assert_null(seen->error);
    g_clear_pointer(&seen, cst_job_info_free);

    all = cst_job_files_load(root->paths);
    assert_int_equal(all->len, 1);
    g_clear_pointer(&all, g_ptr_array_unref);
    cst_job_file_read_requests(file, &cancel, &limit);
    assert_true(!cancel && limit == 5);
    assert_true(cst_job_file_set_limit(root->paths, id, 99, NULL));
    assert_true(cst_job_file_cancel(root->paths, id, NULL));
    cst_job_file_read_requests(file, &cancel, &limit);
    assert_true(cancel && limit == 99);

    job.done = 10;
    job.state = CST_JOB_CANCELLED;
    job.ended = g_get_real_time();
    job.error = (char *)"enough";
    job.error_word = (char *)"cancelled";
    cst_job_file_end(file, &job);
    seen = load(root, id);
    assert_int_equal(seen->state, CST_JOB_CANCELLED);
    assert_int_equal(seen->done, 10);
    assert_false(cst_job_check_done(seen, &error));
    assert_string_equal(error->message, "enough");
    assert_code(&error, CST_ERROR_CANCELLED);
    assert_false(cst_job_file_cancel(root->paths, id, &error));
    assert_code(&error, CST_ERROR_STATE);
    all = cst_job_files_load(root->paths);
    assert_int_equal(all->len, 1);
}

static void test_missing_job_is_not_found(void **state)
{
    Root *root = *state;
    g_autoptr(GPtrArray) all = cst_job_files_load(root->paths);
    g_autoptr(GError) error = NULL;

    cst_job_files_recover(root->paths, NULL, NULL);
    assert_int_equal(all->len, 0);
    assert_null(cst_job_file_load(root->paths, 1, &error));
    assert_code(&error, CST_ERROR_NOT_FOUND);
    assert_false(cst_job_file_cancel(root->paths, 1, &error));
    assert_code(&error, CST_ERROR_NOT_FOUND);
}

static void test_job_that_cannot_be_canceled_refuses_a_cancel(void **state)
{
    Root *root = *state;
    g_autoptr(GError) error = NULL;
    CstJobInfo job = sample();
    CstJobFile *file;
    uint64_t id;

    job.can_cancel = FALSE;
    file = cst_job_file_publish(root->paths, &job, &id, NULL);
    assert_false(cst_job_file_cancel(root->paths, id, &error));
    assert_code(&error, CST_ERROR_UNSUPPORTED);
    job.state = CST_JOB_DONE;
    cst_job_file_end(file, &job);
}

static gboolean is_there(Root *root, const char *name)
{
    g_autofree char *path = g_build_filename(root->paths->data_dir, "jobs", name, NULL);

    return access(path, F_OK) == 0;
}

/* Text over the limit is cut between two characters, and invalid UTF-8 is replaced. */
static void test_texts_are_cut_to_fit(void **state)
{
    static char broken[] = "a\xff";
    Root *root = *state;
    g_autoptr(CstJobInfo) seen = NULL;
    g_autofree char *longest = g_strnfill(255, 'p');
    g_autofree char *too_long = g_strnfill(32, 'k');
    g_autofree char *error = g_strnfill(2000, 'x');
    CstJobInfo job = sample();
    CstJobFile *file;
    uint64_t id;

    memcpy(error + 1022, "\xc3\xa9", 2); /* one character over the last two bytes */
    job.pool = longest;
    job.kind = too_long;
    job.volume = broken;
    job.error = error;
    job.rate = 3;
    job.total = 4;
    job.attempt = 2;
    file = cst_job_file_publish(root->paths, &job, &id, NULL);
    seen = load(root, id);
    assert_string_equal(seen->pool, longest);
    assert_string_equal(seen->volume, "a\xef\xbf\xbd");
    assert_int_equal(strlen(seen->kind), 31);
    assert_int_equal(strlen(seen->error), 1022);
    assert_int_equal(seen->error[1021], 'x');
    assert_true(seen->rate == 3 && seen->total == 4 && seen->attempt == 2);
    assert_true(seen->can_cancel && !seen->resume && !seen->error_word);
    job.state = CST_JOB_DONE;
    cst_job_file_end(file, &job);
    assert_true(is_there(root, "1.done") && !is_there(root, "1.job"));
}

static void test_job_with_names_that_fit_can_be_resumed(void **state)
{
    g_autofree char *fits = g_strnfill(255, 'v');
    g_autofree char *too_long = g_strnfill(256, 'v');
    CstJobInfo job = sample();

    assert_false(cst_job_file_can_resume(&job));
    job.resume = (char *)"3";
    job.attempt = CST_JOB_ATTEMPTS - 1;
    assert_true(cst_job_file_can_resume(&job));
    job.volume = fits;
    assert_true(cst_job_file_can_resume(&job));
    job.volume = too_long;
    assert_false(cst_job_file_can_resume(&job));
    job.volume = NULL;
    assert_true(cst_job_file_can_resume(&job));
    job.pool = too_long;
    assert_false(cst_job_file_can_resume(&job));
    job.pool = fits;
    job.attempt = CST_JOB_ATTEMPTS;
    assert_false(cst_job_file_can_resume(&job));
}

static void test_text_that_fits_is_shorter_than_its_field(void **state)
{
    g_autofree char *too_long = g_strnfill(1024, 'r');

    assert_true(cst_job_file_resume_fits(too_long + 1));
    assert_false(cst_job_file_resume_fits(too_long));
}

/* Files belong to the owner of the directory. A name of another type of file is not a job. */
static void test_only_plain_files_are_jobs(void **state)
{
    Root *root = *state;
    g_autofree char *dir = g_build_filename(root->paths->data_dir, "jobs", NULL);
    g_autofree char *live = g_build_filename(dir, "1.job", NULL);
    g_autofree char *elsewhere = g_build_filename(root->root, "elsewhere", NULL);
    g_autofree char *ended = g_build_filename(dir, "2.done", NULL);
    g_autofree char *pipe_live = g_build_filename(dir, "3.job", NULL);
    g_autofree char *next = g_build_filename(dir, "next", NULL);
    g_autoptr(GError) error = NULL;
    CstJobInfo job = sample();
    struct stat st;
    uint64_t id;

    cst_job_file_suspend(cst_job_file_publish(root->paths, &job, &id, NULL), &job);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(live, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(next, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(rename(live, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, live), 0);
    assert_int_equal(mkfifo(ended, 0600), 0);
    assert_int_equal(mkfifo(pipe_live, 0600), 0);
    assert_null(cst_job_file_load(root->paths, 1, NULL));
    assert_null(cst_job_file_load(root->paths, 2, NULL));
    assert_null(cst_job_file_load(root->paths, 3, NULL));
    assert_false(cst_job_file_cancel(root->paths, 1, &error));
    assert_code(&error, CST_ERROR_NOT_FOUND);
    cst_job_files_recover(root->paths, NULL, NULL);
    assert_true(is_there(root, "1.job"));
    /* The file of numbers is not followed through a link either. */
    assert_int_equal(unlink(next), 0);
    assert_int_equal(symlink(elsewhere, next), 0);
    assert_null(cst_job_file_publish(root->paths, &job, &id, &error));
    assert_code(&error, CST_ERROR_IO);
}

static void test_unfinished_file_is_removed(void **state)
{
    Root *root = *state;
    g_autofree char *dir = g_build_filename(root->paths->data_dir, "jobs", NULL);
    g_autofree char *newborn = g_build_filename(dir, "7.new", NULL);
    g_autofree char *rubbish = g_build_filename(dir, "8.job", NULL);

    g_mkdir_with_parents(dir, 0700);
    assert_true(g_file_set_contents(newborn, "", -1, NULL));
    assert_true(g_file_set_contents(rubbish, "rubbish", -1, NULL));
    cst_job_files_recover(root->paths, NULL, NULL);
    assert_false(is_there(root, "7.new"));
    assert_false(is_there(root, "8.job"));
}

typedef struct {
    CstJobFile *file;
    CstJobInfo *job;
    guint count;
} Taken;

static void take(CstJobFile *file, CstJobInfo *job, gpointer data)
{
    Taken *taken = data;

    taken->file = file;
    taken->job = job;
    taken->count++;
}

/* An existing entry with the name of a new file is kept, and no other file is left. */
static void test_existing_entry_with_the_name_of_a_new_file_is_kept(void **state)
{
    Root *root = *state;
    g_autofree char *dir = g_build_filename(root->paths->data_dir, "jobs", NULL);
    g_autofree char *next = g_build_filename(dir, "next", NULL);
    g_autofree char *live = g_build_filename(dir, "5.job", NULL);
    g_autofree char *newborn = g_build_filename(dir, "6.new", NULL);
    g_autoptr(GError) error = NULL;
    CstJobInfo job = sample();
    uint64_t id;

    assert_int_equal(g_mkdir_with_parents(live, 0700), 0);
    assert_true(g_file_set_contents(next, "5\n", -1, NULL));
    assert_true(g_file_set_contents(newborn, "", -1, NULL));
    assert_null(cst_job_file_publish(root->paths, &job, &id, &error));
    assert_code(&error, CST_ERROR_IO);
    assert_false(is_there(root, "5.new"));
    assert_null(cst_job_file_publish(root->paths, &job, &id, NULL));
    assert_true(is_there(root, "6.new"));
}

/* It ended at the last write of its process, independent of later changes of the file. */
static void test_when_it_was_interrupted(void **state)
{
    const int64_t last = g_get_real_time() / G_USEC_PER_SEC - 1800;
    const struct timespec then[2] = {{.tv_sec = last}, {.tv_sec = last}};
    Root *root = *state;
    g_autofree char *live = g_build_filename(root->paths->data_dir, "jobs/1.job", NULL);
    g_autofree char *ended = g_build_filename(root->paths->data_dir, "jobs/1.done", NULL);
    g_autoptr(CstJobInfo) seen = NULL;
    g_autoptr(CstJobInfo) settled = NULL;
    CstJobInfo job = sample();
    uint64_t id;

    cst_job_file_suspend(cst_job_file_publish(root->paths, &job, &id, NULL), &job);
    assert_int_equal(utimensat(AT_FDCWD, live, then, 0), 0);
    seen = load(root, id);
    assert_int_equal(seen->ended, last * G_USEC_PER_SEC);
    cst_job_files_recover(root->paths, NULL, NULL);
    assert_int_equal(utimensat(AT_FDCWD, ended, NULL, 0), 0);
    settled = load(root, id);
    assert_int_equal(settled->state, CST_JOB_INTERRUPTED);
    assert_int_equal(settled->ended, last * G_USEC_PER_SEC);
}

static void test_job_of_a_dead_process_is_adopted(void **state)
{
    Root *root = *state;
    CstJobInfo job = sample();
    Taken taken = {0};
    uint64_t id;

    job.resume = (char *)"3";
    job.attempt = 1;
    cst_job_file_suspend(cst_job_file_publish(root->paths, &job, &id, NULL), &job);
    cst_job_files_recover(root->paths, take, &taken);
    assert_int_equal(taken.count, 1);
    assert_in_range(taken.job->ended, g_get_real_time() - G_TIME_SPAN_MINUTE, g_get_real_time());
    taken.job->state = CST_JOB_DONE;
    cst_job_file_end(taken.file, taken.job);
    cst_job_info_free(taken.job);
}

/* The next number is taken from the files if the recorded one is invalid. */
static void test_a_number_that_cannot_be(void **state)
{
    static const char *const texts[] = {"9223372036854775807\n", "99999999999999999999\n", "x\n"};
    Root *root = *state;
    g_autofree char *next = g_build_filename(root->paths->data_dir, "jobs/next", NULL);
    CstJobInfo job = sample();
    uint64_t id = 0;

    cst_job_file_suspend(cst_job_file_publish(root->paths, &job, &id, NULL), &job);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        assert_true(g_file_set_contents(next, texts[i], -1, NULL));
        cst_job_file_suspend(cst_job_file_publish(root->paths, &job, &id, NULL), &job);
        assert_int_equal(id, i + 2);
    }
    assert_true(g_file_set_contents(next, "9223372036854775806\n", -1, NULL));
    cst_job_file_suspend(cst_job_file_publish(root->paths, &job, &id, NULL), &job);
    assert_true(id == G_MAXINT64 - 1);
}

/* An hour after its end a job is no longer listed. The next new job removes its file. */
static void test_old_ones_go(void **state)
{
    const struct timespec old[2] = {{.tv_sec = g_get_real_time() / G_USEC_PER_SEC - 3700},
                                    {.tv_sec = g_get_real_time() / G_USEC_PER_SEC - 3700}};
    Root *root = *state;
    g_autofree char *path = g_build_filename(root->paths->data_dir, "jobs/1.done", NULL);
    g_autoptr(GPtrArray) all = NULL;
    CstJobInfo job = sample();
    uint64_t id;

    for (int age = 3700; age >= 3500; age -= 200) {
        CstJobFile *file = cst_job_file_publish(root->paths, &job, &id, NULL);
        CstJobInfo ended = job;

        ended.state = CST_JOB_DONE;
        ended.ended = g_get_real_time() - age * G_TIME_SPAN_SECOND;
        cst_job_file_end(file, &ended);
    }
    all = cst_job_files_load(root->paths);
    assert_int_equal(all->len, 1);
    assert_int_equal(((CstJobInfo *)all->pdata[0])->id, 2);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    cst_job_file_suspend(cst_job_file_publish(root->paths, &job, &id, NULL), &job);
    assert_false(is_there(root, "1.done"));
    assert_true(is_there(root, "2.done"));
}

/* Its process is killed with kill -9 in the middle. */
static void test_interrupted(void **state)
{
    Root *root = *state;
    g_autoptr(CstJobInfo) seen = NULL;
    CstJobInfo job = sample();
    uint64_t id;
    int there[2];
    pid_t child;

    assert_int_equal(pipe(there), 0);
    child = fork();
    if (child == 0) {
        cst_job_file_publish(root->paths, &job, &id, NULL);
        assert_int_equal(write(there[1], "!", 1), 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(there[0], &(char){0}, 1), 1);
    seen = load(root, 1);
    assert_int_equal(seen->state, CST_JOB_RUNNING);
    g_clear_pointer(&seen, cst_job_info_free);
    /* The process is alive, so no recovery is needed. */
    cst_job_files_recover(root->paths, NULL, NULL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    for (int i = 0; i < 2; i++) {
        seen = load(root, 1);
        assert_int_equal(seen->state, CST_JOB_INTERRUPTED);
        assert_in_range(seen->ended, g_get_real_time() - G_TIME_SPAN_MINUTE, g_get_real_time());
        assert_int_equal(seen->rate, 0);
        g_clear_pointer(&seen, cst_job_info_free);
        cst_job_files_recover(root->paths, NULL, NULL);
        assert_true(is_there(root, "1.done") && !is_there(root, "1.job"));
    }
    close(there[0]);
    close(there[1]);
}

/* Numbers go on although files, and the number itself, are lost; the last hundred are kept. */
static void test_numbers(void **state)
{
    Root *root = *state;
    g_autofree char *next = g_build_filename(root->paths->data_dir, "jobs/next", NULL);
    g_autoptr(GPtrArray) all = NULL;
    CstJobInfo job = sample();
    uint64_t id = 0;

    for (guint i = 1; i <= 130; i++) {
        CstJobFile *file = cst_job_file_publish(root->paths, &job, &id, NULL);

        job.state = CST_JOB_DONE;
        job.ended = g_get_real_time();
        cst_job_file_end(file, &job);
        assert_int_equal(id, i);
        if (i == 60)
            unlink(next);
        if (i == 90)
            assert_int_equal(truncate(next, 0), 0);
    }
    all = cst_job_files_load(root->paths);
    assert_in_range(all->len, CST_JOBS_KEPT, CST_JOBS_KEPT + 1);
    assert_int_equal(((CstJobInfo *)all->pdata[0])->id, 130 - all->len + 1);
}

/* An invalid file with a job's name is ignored. */
static void test_rubbish(void **state)
{
    Root *root = *state;
    g_autofree char *dir = g_build_filename(root->paths->data_dir, "jobs", NULL);
    g_autoptr(GPtrArray) all = NULL;
    static const char *const names[] = {"1.job", "2.done", "x.job", "99999999999999999999.job",
                                        "3.new", "-1.job", "4.jobs"};
    g_autofree char *big = g_malloc(5000);

    memset(big, 'x', 5000);
    g_mkdir_with_parents(dir, 0700);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(dir, names[i], NULL);

        assert_true(g_file_set_contents(path, big, i % 2 ? 5000 : 10, NULL));
    }
    all = cst_job_files_load(root->paths);
    assert_int_equal(all->len, 0);
    cst_job_files_recover(root->paths, NULL, NULL);
    assert_null(cst_job_file_load(root->paths, 2, NULL));
}

/*
 * A daemon suspends the job, and the next daemon resumes it under the same number. Other processes
 * only read it.
 */
static void test_suspended_job_is_adopted_by_the_next_daemon(void **state)
{
    Root *root = *state;
    g_autoptr(CstJobInfo) seen = NULL;
    CstJobInfo job = sample();
    uint64_t id;

    job.resume = (char *)"3";
    for (job.attempt = 1; job.attempt < CST_JOB_ATTEMPTS; job.attempt++) {
        Taken taken = {0};
        CstJobFile *file = cst_job_file_publish(root->paths, &job, &id, NULL);

        job.state = CST_JOB_INTERRUPTED;
        job.ended = g_get_real_time();
        job.error = (char *)"stopped";
        job.error_word = (char *)"cancelled";
        cst_job_file_suspend(file, &job);
        cst_job_files_recover(root->paths, NULL, NULL);
        seen = load(root, id);
        assert_int_equal(seen->state, CST_JOB_INTERRUPTED);
        g_clear_pointer(&seen, cst_job_info_free);
        cst_job_files_recover(root->paths, take, &taken);
        assert_int_equal(taken.count, 1);
        assert_int_equal(taken.job->id, id);
        assert_int_equal(taken.job->attempt, job.attempt + 1);
        assert_int_equal(taken.job->ended, job.ended);
        assert_int_equal(taken.job->state, CST_JOB_WAITING);
        assert_true(!taken.job->error && !taken.job->error_word);
        assert_string_equal(taken.job->resume, "3");
        /* It is ours now. */
        cst_job_files_recover(root->paths, take, &taken);
        assert_int_equal(taken.count, 1);
        cst_job_file_update(taken.file, taken.job);
        assert_true(cst_job_file_set_limit(root->paths, id, 77, NULL));
        taken.job->state = CST_JOB_DONE;
        cst_job_file_end(taken.file, taken.job);
        cst_job_info_free(taken.job);
        seen = load(root, id);
        assert_int_equal(seen->state, CST_JOB_DONE);
        g_clear_pointer(&seen, cst_job_info_free);
    }
}

/* Too often, too long ago, or with names that do not fit into the file. */
static void test_left_for_good(void **state)
{
    static char invalid[] = "\xff", kept[] = "a";
    const gint64 hours = 2 * G_TIME_SPAN_HOUR;
    Root *root = *state;
    Taken taken = {0};

    for (int i = 0; i < 4; i++) {
        CstJobInfo job = sample();
        CstJobFile *file;
        uint64_t id;

        job.state = CST_JOB_INTERRUPTED;
        job.resume = i == 3 ? NULL : (char *)"3";
        job.attempt = i == 0 ? CST_JOB_ATTEMPTS : 1;
        job.ended = g_get_real_time() - (i == 1 ? hours : 0);
        job.volume = i == 2 ? invalid : kept;
        assert_int_equal(cst_job_file_can_resume(&job), i == 1);
        if (i == 2)
            continue; /* such a job is never published */
        file = cst_job_file_publish(root->paths, &job, &id, NULL);
        cst_job_file_suspend(file, &job);
        cst_job_files_recover(root->paths, take, &taken);
        assert_int_equal(taken.count, 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_life),
        TEST(test_missing_job_is_not_found),
        TEST(test_job_that_cannot_be_canceled_refuses_a_cancel),
        TEST(test_interrupted),
        TEST(test_suspended_job_is_adopted_by_the_next_daemon),
        TEST(test_left_for_good),
        TEST(test_numbers),
        TEST(test_rubbish),
        TEST(test_texts_are_cut_to_fit),
        TEST(test_job_with_names_that_fit_can_be_resumed),
        TEST(test_text_that_fits_is_shorter_than_its_field),
        TEST(test_only_plain_files_are_jobs),
        TEST(test_unfinished_file_is_removed),
        TEST(test_a_number_that_cannot_be),
        TEST(test_old_ones_go),
        TEST(test_existing_entry_with_the_name_of_a_new_file_is_kept),
        TEST(test_when_it_was_interrupted),
        TEST(test_job_of_a_dead_process_is_adopted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
