/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The content of the disk at the end of a job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <store/job_files.h>

static const CstPaths *watched; /* NULL: syncs are not recorded */
static CstJobState synced_as;   /* state of job 1 at the last sync */

/* In the place of libc's. */
int fdatasync(int fd)
{
    g_autoptr(CstJobInfo) job = watched ? cst_job_file_load(watched, 1, NULL) : NULL;

    if (job)
        synced_as = job->state;
    return (int)syscall(SYS_fdatasync, fd);
}

/* Returns the least state of job 1 on the disk after its end as @end. */
static CstJobState state_on_disk(CstJobState end, const char *resume)
{
    g_autofree char *root = g_dir_make_tmp("cst-jobs-XXXXXX", NULL);
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", root);
    CstPaths *paths = cst_paths_new(root);
    CstJobInfo job = {.kind = (char *)"wipe",
                      .pool = (char *)"images",
                      .volume = (char *)"a",
                      .resume = (char *)resume,
                      .attempt = CST_JOB_ATTEMPTS};
    CstJobFile *file;
    uint64_t id;

    file = cst_job_file_publish(paths, &job, &id, NULL);
    assert_non_null(file);
    watched = paths;
    synced_as = CST_JOB_RUNNING;
    job.state = end;
    cst_job_file_end(file, &job);
    watched = NULL;
    cst_paths_free(paths);
    assert_int_equal(system(command), 0);
    return synced_as;
}

/*
 * After a power cut the job would be repeated over later changes. This includes the last attempt,
 * because the disk may still have an earlier one.
 */
static void test_end_of_a_resumable_job_is_on_the_disk(void **state)
{
    static const CstJobState ends[] = {CST_JOB_DONE, CST_JOB_FAILED, CST_JOB_CANCELLED};

    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++)
        assert_int_equal(state_on_disk(ends[i], "0"), ends[i]);
}

static void test_end_of_other_jobs_does_not_wait_for_the_disk(void **state)
{
    assert_int_equal(state_on_disk(CST_JOB_DONE, NULL), CST_JOB_RUNNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end_of_a_resumable_job_is_on_the_disk),
        cmocka_unit_test(test_end_of_other_jobs_does_not_wait_for_the_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
