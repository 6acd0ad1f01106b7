/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Jobs of a daemon that was stopped in the middle. The next daemon continues them if their volumes
 * are unchanged.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <service/images.h>
#include <store/job_files.h>

#include "points.h"
#include "wipe.h"

/*
 * Stops a daemon during its wipe of "disk". A command may then change the state before the next
 * daemon starts.
 */
static uint64_t stop_in_the_middle(Fixture *f)
{
    g_autoptr(CstPool) pool = make_disk(f);
    g_autoptr(CstJobInfo) job = NULL;
    uint64_t id;
    Wipe wipe;

    wipe_begin(&wipe, pool, 4 * CST_MIB);
    id = number_of(wipe.task);
    cst_service_stop(f->service);
    wipe_end(&wipe);
    assert_error(&wipe.error, CST_ERROR_CANCELLED);
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    job = wait_for(f, id, CST_JOB_INTERRUPTED);
    assert_non_null(strstr(job->error, "the next daemon goes on with it"));
    return id;
}

static CstPool *find_pool(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_by_name(f->service, "p", &error);

    assert_no_error(error);
    return pool;
}

/* The job can be queried by its number: its end and its error. */
static void assert_failed(Fixture *f, uint64_t id, const char *word)
{
    g_autoptr(CstJobInfo) job = wait_for(f, id, CST_JOB_FAILED);
    g_autoptr(GPtrArray) going_on = cst_service_jobs(f->service, FALSE);

    assert_string_equal(job->error_word, word);
    assert_non_null(job->error);
    assert_int_equal(going_on->len, 0);
}

static void undefine(Fixture *f)
{
    g_autoptr(CstPool) pool = find_pool(f);

    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_true(cst_pool_undefine(pool, NULL, NULL));
}

static void job_of_a_missing_pool_fails(void **state)
{
    Fixture *f = *state;
    uint64_t id = stop_in_the_middle(f);

    undefine(f);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_failed(f, id, "no-pool");
}

/* The name now belongs to another pool with a volume of the same name. */
static void job_is_not_resumed_in_another_pool(void **state)
{
    Fixture *f = *state;
    uint64_t id = stop_in_the_middle(f);
    g_autofree char *path = g_build_filename(f->images, "other", "disk", NULL);
    g_autofree char *xml = g_strdup_printf("<pool type='dir'><name>p</name><target><path>%s/other"
                                           "</path></target></pool>",
                                           f->images);
    g_autofree char *content = NULL;
    g_autoptr(GError) error = NULL;
    CstPool *pool;

    undefine(f);
    pool = cst_service_pool_define(f->service, xml, 0, &error);
    assert_no_error(error);
    assert_true(cst_pool_build(pool, 0, NULL, NULL));
    fixture_write(f, "other", "disk", "precious");
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
    cst_pool_unref(pool);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_failed(f, id, "no-pool");
    assert_true(g_file_get_contents(path, &content, NULL, NULL));
    assert_string_equal(content, "precious");
}

/* Leaves the state of a daemon that was stopped at @ended during a wipe of "disk". */
static uint64_t leave_wipe(Fixture *f, gint64 ended)
{
    g_autoptr(CstPool) pool = make_disk(f);
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *resume = g_strdup_printf("%s %u", cst_uuid_format(cst_pool_uuid(pool), uuid),
                                              (unsigned)CST_WIPE_ZERO);
    const CstJobInfo job = {.state = CST_JOB_INTERRUPTED,
                            .kind = (char *)"wipe",
                            .pool = (char *)"p",
                            .volume = (char *)"disk",
                            .resume = resume,
                            .started = ended - 10 * G_USEC_PER_SEC,
                            .ended = ended};
    uint64_t id;
    CstJobFile *file = cst_job_file_publish(f->paths, &job, &id, NULL);

    assert_non_null(file);
    cst_job_file_suspend(file, &job);
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    return id;
}

/* The content of the new file may be older than the job. */
static void job_is_not_resumed_on_another_file(void **state)
{
    Fixture *f = *state;
    uint64_t id = leave_wipe(f, g_get_real_time() - 10 * G_USEC_PER_SEC);
    g_autofree char *disk = g_build_filename(f->images, "p", "disk", NULL);
    g_autofree char *spare = g_build_filename(f->images, "p", "spare", NULL);
    const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    g_autofree char *content = NULL;

    fixture_write(f, "p", "spare", "precious");
    assert_int_equal(utimensat(AT_FDCWD, spare, old, 0), 0);
    assert_int_equal(rename(spare, disk), 0);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_failed(f, id, "state");
    assert_true(g_file_get_contents(disk, &content, NULL, NULL));
    assert_string_equal(content, "precious");
}

/*
 * The file changes after the daemon has started, and the job has not begun. The recorded end is
 * later, because the clock was set back. The clock of files may be some milliseconds late, so the
 * time of the change is set.
 */
static void job_is_not_resumed_on_a_file_written_before_its_turn(void **state)
{
    Fixture *f = *state;
    uint64_t id = leave_wipe(f, g_get_real_time() + G_TIME_SPAN_HOUR);
    g_autofree char *disk = g_build_filename(f->images, "p", "disk", NULL);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
    g_autoptr(CstPool) pool = find_pool(f);
    g_autofree char *content = NULL;

    assert_true(cst_pool_stop(pool, NULL, NULL));
    g_clear_pointer(&pool, cst_pool_unref);
    point_hold("resume.pool.wait");
    fixture_restart(f, CST_SERVICE_DAEMON);
    point_await("resume.pool.wait", 1);
    times[1].tv_sec = g_get_real_time() / G_USEC_PER_SEC + 60;
    fixture_write(f, "p", "disk", "precious");
    assert_int_equal(utimensat(AT_FDCWD, disk, times, 0), 0);
    pool = find_pool(f);
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
    point_release("resume.pool.wait");
    assert_failed(f, id, "state");
    points_clear();
    assert_true(g_file_get_contents(disk, &content, NULL, NULL));
    assert_string_equal(content, "precious");
}

/* The job waits for its pool, and continues when the pool is active. */
static void a_job_waits_until_its_pool_is_active(void **state)
{
    Fixture *f = *state;
    uint64_t id = stop_in_the_middle(f);
    CstPool *pool = find_pool(f);

    assert_true(cst_pool_stop(pool, NULL, NULL));
    cst_pool_unref(pool);
    point_watch("resume.pool.wait");
    fixture_restart(f, CST_SERVICE_DAEMON);
    point_await("resume.pool.wait", 2);
    points_clear();
    cst_job_info_free(wait_for(f, id, CST_JOB_WAITING));
    pool = find_pool(f);
    assert_true(cst_service_job_set_limit(f->service, id, 0, NULL));
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
    cst_job_info_free(wait_for(f, id, CST_JOB_DONE));
    cst_pool_unref(pool);
}

static void a_job_that_waits_for_its_pool_can_be_cancelled(void **state)
{
    Fixture *f = *state;
    uint64_t id = stop_in_the_middle(f);
    g_autoptr(CstPool) pool = find_pool(f);

    assert_true(cst_pool_stop(pool, NULL, NULL));
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_true(cst_service_job_cancel(f->service, id, NULL));
    cst_job_info_free(wait_for(f, id, CST_JOB_CANCELLED));
}

static void a_job_fails_when_its_pool_is_undefined_while_it_waits(void **state)
{
    Fixture *f = *state;
    uint64_t id = stop_in_the_middle(f);
    g_autoptr(CstPool) pool = find_pool(f);

    assert_true(cst_pool_stop(pool, NULL, NULL));
    g_clear_pointer(&pool, cst_pool_unref);
    point_hold("resume.pool.wait");
    fixture_restart(f, CST_SERVICE_DAEMON);
    point_await("resume.pool.wait", 1);
    pool = find_pool(f);
    assert_true(cst_pool_undefine(pool, NULL, NULL));
    point_release("resume.pool.wait");
    assert_failed(f, id, "no-pool");
    points_clear();
}

/* The daemon ends before it has started any job. The next daemon continues the job. */
static void a_job_that_a_daemon_did_not_begin_is_left_to_the_next(void **state)
{
    Fixture *f = *state;
    uint64_t id = stop_in_the_middle(f);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstJobInfo) job = NULL;
    CstService *idle;

    g_clear_pointer(&f->service, cst_service_free);
    idle = cst_service_new(f->paths, CST_SERVICE_DAEMON, &error);
    assert_no_error(error);
    cst_service_free(idle);
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    job = wait_for(f, id, CST_JOB_INTERRUPTED);
    assert_non_null(strstr(job->error, "the next daemon goes on with it"));
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_true(cst_service_job_set_limit(f->service, id, 0, NULL));
    cst_job_info_free(wait_for(f, id, CST_JOB_DONE));
}

/* --- parameters ------------------------------------------------------------------------------- */

#define DATA_LEN CST_MIB

static void create_over(Fixture *f, CstPool *pool, const char *name, const char *base)
{
    g_autofree char *below = g_strdup_printf("<backingStore><path>%s/%s/%s</path>"
                                             "<format type='qcow2'/></backingStore>",
                                             f->images, cst_pool_name(pool), base);

    fixture_create(pool, name, "qcow2", below);
}

/* Makes the chain "top" on "middle" on "base" in a pool of its own; only "top" has data. */
static void make_chain(Fixture *f, const char *name)
{
    const CstVolConvert how = {.name = "top", .format = "qcow2"};
    g_autoptr(CstPool) pool = fixture_pool(f, name);
    g_autofree char *middle = g_build_filename(f->images, name, "middle", NULL);
    const CstVolRebase upon = {middle, "qcow2", CST_VOL_REBASE_UNSAFE};
    g_autofree char *data = g_strnfill(DATA_LEN, 'x');
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "base", "qcow2", "");
    create_over(f, pool, "middle", "base");
    fixture_write(f, name, "data", data);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    cst_vol_convert(pool, pool, "data", &how, NULL, &error);
    assert_no_error(error);
    cst_vol_rebase(pool, "top", &upon, NULL, &error);
    assert_no_error(error);
}

/* Leaves the job of a daemon that was stopped in the middle. */
static uint64_t leave_job(Fixture *f, const char *pool_name, const char *kind, const char *how)
{
    g_autoptr(CstPool) pool = cst_service_pool_by_name(f->service, pool_name, NULL);
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *resume =
        g_strdup_printf("%s %s", cst_uuid_format(cst_pool_uuid(pool), uuid), how);
    const CstJobInfo job = {.state = CST_JOB_RUNNING,
                            .kind = (char *)kind,
                            .pool = (char *)pool_name,
                            .volume = (char *)"top",
                            .resume = resume,
                            .started = g_get_real_time()};
    uint64_t id;
    CstJobFile *file = cst_job_file_publish(f->paths, &job, &id, NULL);

    assert_non_null(file);
    cst_job_file_suspend(file, &job);
    return id;
}

static gboolean has_data(Fixture *f, const char *pool_name, const char *name)
{
    g_autoptr(CstPool) pool = cst_service_pool_by_name(f->service, pool_name, NULL);
    CstVolInfo info;

    assert_true(cst_vol_get_info(pool, name, &info, NULL));
    return info.allocation >= DATA_LEN;
}

/* The job's file is the only information of the next daemon. */
static void job_is_resumed_with_its_options(void **state)
{
    static const struct {
        const char *pool, *kind, *how; /* %s: the pool's directory */
        CstJobState end;
        gboolean in_base, in_middle, in_top;
    } jobs[] = {
        {"next", "commit", "0 ", CST_JOB_DONE, FALSE, TRUE, FALSE},
        {"kept", "commit", "1 ", CST_JOB_DONE, FALSE, TRUE, TRUE},
        {"named", "commit", "0 base", CST_JOB_DONE, TRUE, FALSE, TRUE},
        {"path", "commit", "1 %s/base", CST_JOB_DONE, TRUE, FALSE, TRUE},
        {"other", "commit", "0 elsewhere", CST_JOB_FAILED, FALSE, FALSE, TRUE},
        {"flags", "commit", "2 ", CST_JOB_FAILED, FALSE, FALSE, TRUE},
        {"short", "commit", "0", CST_JOB_FAILED, FALSE, FALSE, TRUE},
        {"odd", "commit", "x base", CST_JOB_FAILED, FALSE, FALSE, TRUE},
        {"wiped", "wipe", "0", CST_JOB_DONE, FALSE, FALSE, FALSE},
        {"unknown", "wipe", "99", CST_JOB_FAILED, FALSE, FALSE, TRUE},
        {"blank", "wipe", "", CST_JOB_FAILED, FALSE, FALSE, TRUE},
        {"flat", "flatten", "-", CST_JOB_DONE, FALSE, FALSE, TRUE},
        {"layers", "consolidate", "1 0 //%s/base", CST_JOB_DONE, FALSE, FALSE, TRUE},
        {"direct", "consolidate", "1 0 //%s/middle", CST_JOB_DONE, FALSE, FALSE, TRUE},
        {"early", "consolidate", "0 2 //", CST_JOB_DONE, FALSE, FALSE, TRUE},
        {"absent", "consolidate", "0 0 //%s/none", CST_JOB_FAILED, FALSE, FALSE, TRUE},
        {"bare", "consolidate", "0", CST_JOB_FAILED, FALSE, FALSE, TRUE},
        {"foreign", "consolidate", "8 0 //", CST_JOB_FAILED, FALSE, FALSE, TRUE},
    };
    Fixture *f = *state;
    uint64_t ids[G_N_ELEMENTS(jobs)];

    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++)
        make_chain(f, jobs[i].pool);
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++) {
        g_autofree char *dir = g_build_filename(f->images, jobs[i].pool, NULL);
        g_autoptr(GString) how = g_string_new(jobs[i].how);

        g_string_replace(how, "%s", dir, 0);
        ids[i] = leave_job(f, jobs[i].pool, jobs[i].kind, how->str);
    }
    fixture_restart(f, CST_SERVICE_DAEMON);
    for (size_t i = 0; i < G_N_ELEMENTS(jobs); i++) {
        g_autoptr(CstJobInfo) job = wait_for(f, ids[i], jobs[i].end);
        gboolean is_deleted = strcmp(jobs[i].pool, "layers") == 0;

        if (has_data(f, jobs[i].pool, "base") != jobs[i].in_base ||
            fixture_exists(f, jobs[i].pool, "middle") == is_deleted ||
            (!is_deleted && has_data(f, jobs[i].pool, "middle") != jobs[i].in_middle) ||
            has_data(f, jobs[i].pool, "top") != jobs[i].in_top)
            fail_msg("%s: data in the wrong place (%s)", jobs[i].pool, job->error);
    }
}

/* --- a consolidation after the change of the reference ---------------------------------------- */

/* Replaces the content of "top" by that of "model", but not its declarations. */
static void replace_content(Fixture *f)
{
    g_autofree char *from = g_build_filename(f->images, "cut", "model", NULL);
    g_autofree char *to = g_build_filename(f->images, "cut", "top", NULL);
    g_autofree char *content = NULL;
    gsize len;
    FILE *file = fopen(to, "r+");

    assert_true(g_file_get_contents(from, &content, &len, NULL));
    assert_int_equal(fwrite(content, 1, len, file), len);
    fclose(file);
    assert_int_equal(truncate(to, (off_t)len), 0);
}

/* Makes the pool "cut". A header there has an undeclared reference, as after the change. */
static uint64_t leave_consolidation(Fixture *f, const char *names)
{
    g_autofree char *dir = g_build_filename(f->images, "cut", NULL);
    g_autofree char *how = g_strdup_printf("1 0 %s//%s/base", names, dir);
    g_autoptr(CstPool) pool = fixture_pool(f, "cut");

    assert_int_equal(chmod(dir, 0777), 0);
    fixture_create(pool, "base", "qcow2", "");
    create_over(f, pool, "middle", "base");
    create_over(f, pool, "upper", "middle");
    create_over(f, pool, "top", "upper");
    create_over(f, pool, "model", "base");
    replace_content(f);
    assert_true(cst_vol_delete(pool, "model", 0, NULL, NULL));
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    return leave_job(f, "cut", "consolidate", how);
}

static void resumed_consolidation_declares_the_reference_and_deletes_the_layers(void **state)
{
    Fixture *f = *state;
    uint64_t id = leave_consolidation(f, "upper/middle");
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GError) error = NULL;

    fixture_restart(f, CST_SERVICE_DAEMON);
    cst_job_info_free(wait_for(f, id, CST_JOB_DONE));
    assert_false(fixture_exists(f, "cut", "upper"));
    assert_false(fixture_exists(f, "cut", "middle"));
    assert_true(fixture_exists(f, "cut", "base"));
    pool = cst_service_pool_by_name(f->service, "cut", NULL);
    cst_vol_flatten(pool, "top", NULL, &error);
    assert_no_error(error);
}

static void resumed_consolidation_keeps_a_new_volume_with_the_name_of_a_layer(void **state)
{
    Fixture *f = *state;
    uint64_t id = leave_consolidation(f, "upper/middle");
    g_autoptr(CstPool) pool = cst_service_pool_by_name(f->service, "cut", NULL);

    assert_true(cst_vol_delete(pool, "upper", 0, NULL, NULL));
    fixture_create(pool, "upper", "qcow2", "");
    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_DAEMON);
    cst_job_info_free(wait_for(f, id, CST_JOB_DONE));
    assert_true(fixture_exists(f, "cut", "upper"));
    assert_true(fixture_exists(f, "cut", "middle"));
}

/* The record of many layers has the names of the uppermost ones only. */
static void resumed_consolidation_deletes_layers_that_the_record_does_not_name(void **state)
{
    Fixture *f = *state;
    uint64_t id = leave_consolidation(f, "deleted/upper");

    fixture_restart(f, CST_SERVICE_DAEMON);
    cst_job_info_free(wait_for(f, id, CST_JOB_DONE));
    assert_false(fixture_exists(f, "cut", "upper"));
    assert_false(fixture_exists(f, "cut", "middle"));
    assert_true(fixture_exists(f, "cut", "base"));
}

static void resumed_consolidation_keeps_a_layer_that_was_changed_since(void **state)
{
    Fixture *f = *state;
    uint64_t id = leave_consolidation(f, "upper");
    g_autofree char *middle = g_build_filename(f->images, "cut", "middle", NULL);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};

    times[1].tv_sec = g_get_real_time() / G_USEC_PER_SEC + 60;
    assert_int_equal(utimensat(AT_FDCWD, middle, times, 0), 0);
    fixture_restart(f, CST_SERVICE_DAEMON);
    cst_job_info_free(wait_for(f, id, CST_JOB_DONE));
    assert_false(fixture_exists(f, "cut", "upper"));
    assert_true(fixture_exists(f, "cut", "middle"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(job_of_a_missing_pool_fails),
        TEST(job_is_not_resumed_in_another_pool),
        TEST(job_is_not_resumed_on_another_file),
        TEST(job_is_not_resumed_on_a_file_written_before_its_turn),
        TEST(a_job_waits_until_its_pool_is_active),
        TEST(a_job_that_waits_for_its_pool_can_be_cancelled),
        TEST(a_job_fails_when_its_pool_is_undefined_while_it_waits),
        TEST(a_job_that_a_daemon_did_not_begin_is_left_to_the_next),
        TEST(job_is_resumed_with_its_options),
        TEST(resumed_consolidation_declares_the_reference_and_deletes_the_layers),
        TEST(resumed_consolidation_keeps_a_new_volume_with_the_name_of_a_layer),
        TEST(resumed_consolidation_deletes_layers_that_the_record_does_not_name),
        TEST(resumed_consolidation_keeps_a_layer_that_was_changed_since),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
