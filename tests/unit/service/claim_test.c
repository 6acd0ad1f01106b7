/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waits for claims. Work on a volume waits for other work on it, up to its limit and while its
 * client is connected. It never waits for a stream, because the duration of a stream depends on its
 * client.
 */
#include "fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>
#include <service/images.h>
#include <service/snapshots.h>

#include "await.h"
#include "points.h"

#define LIMIT_US (300 * G_TIME_SPAN_MILLISECOND) /* of a wait */

static char *create(CstPool *pool, const char *name, const char *format)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity unit='MiB'>8</capacity>"
                        "<target><format type='%s'/></target></volume>",
                        name, format);
    g_autoptr(GError) error = NULL;
    char *made = NULL;

    cst_vol_create(pool, xml, 0, NULL, &made, &error);
    assert_no_error(error);
    return made;
}

static gboolean clone_to(CstPool *pool, const char *source, const char *name, CstTask *task,
                         GError **error)
{
    g_autofree char *xml = g_strdup_printf("<volume><name>%s</name></volume>", name);
    g_autofree char *made = NULL;

    return cst_vol_create_from(pool, xml, pool, source, 0, task, &made, error);
}

/*
 * Makes each call while a stream holds the volume. The stream does not end, so a call that waited
 * for it would not return.
 */
static void assert_all_busy(CstPool *pool, const char *kind)
{
    GError *errors[4] = {NULL};
    g_autofree char *quoted = g_strdup_printf("'%s'", kind);

    assert_false(cst_vol_resize(pool, "v", 16 * CST_MIB, 0, NULL, &errors[0]));
    assert_false(cst_vol_wipe(pool, "v", CST_WIPE_ZERO, 0, NULL, &errors[1]));
    assert_false(cst_vol_snapshot_create(pool, "v", "s", 0, NULL, &errors[2]));
    assert_false(cst_pool_stop(pool, NULL, &errors[3]));
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        assert_non_null(strstr(errors[i]->message, quoted));
        assert_error(&errors[i], CST_ERROR_BUSY);
    }
}

static void operation_during_an_upload_fails_at_once(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autofree char *made = create(pool, "v", "qcow2");
    g_autoptr(GError) error = NULL;
    CstUpload *upload = cst_vol_upload(pool, "v", 0, 0, 0, NULL, &error);

    assert_no_error(error);
    assert_all_busy(pool, "upload");
    assert_false(cst_vol_delete(pool, "v", 0, NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    assert_null(cst_vol_download(pool, "v", 0, 0, 0, NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    assert_false(clone_to(pool, "v", "copy", NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    assert_null(cst_vol_snapshots(pool, "v", NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    cst_upload_free(upload);
    assert_true(cst_pool_stop(pool, NULL, NULL));
}

static gboolean create_overlay(CstPool *pool, const char *name, GError **error)
{
    g_autofree char *path = cst_vol_get_path(pool, "v", NULL);
    g_autofree char *xml = g_strdup_printf(
        "<volume><name>%s</name><capacity>8388608</capacity><target><format type='qcow2'/></target>"
        "<backingStore><path>%s</path></backingStore></volume>",
        name, path);
    g_autofree char *made = NULL;

    return cst_vol_create(pool, xml, 0, NULL, &made, error);
}

static void changing_volume_cannot_become_a_base(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autofree char *made = create(pool, "v", "qcow2");
    g_autoptr(GError) error = NULL;
    CstUpload *upload = cst_vol_upload(pool, "v", 0, 0, 0, NULL, &error);

    assert_no_error(error);
    assert_false(create_overlay(pool, "o", &error));
    assert_non_null(strstr(error->message, "'upload'"));
    assert_error(&error, CST_ERROR_BUSY);
    cst_upload_free(upload);
    assert_true(create_overlay(pool, "o", NULL));
    assert_false(create_overlay(pool, "v", &error));
    assert_error(&error, CST_ERROR_VOL_EXISTS);
}

static void downloads_share_a_volume_and_other_operations_fail_at_once(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autofree char *made = create(pool, "v", "raw");
    CstDownload *one = cst_vol_download(pool, "v", 0, 0, 0, NULL, NULL);
    CstDownload *two = cst_vol_download(pool, "v", 0, 0, 0, NULL, NULL);

    assert_non_null(one);
    assert_non_null(two);
    assert_all_busy(pool, "download");
    assert_true(clone_to(pool, "v", "copy", NULL, NULL));
    cst_download_free(one);
    assert_all_busy(pool, "download");
    cst_download_free(two);
    assert_true(cst_vol_resize(pool, "v", 16 * CST_MIB, 0, NULL, NULL));
}

/* Like unlink(): the reader continues to read the open file, and the name is free. */
static void a_file_is_deleted_while_it_is_downloaded(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *made = create(pool, "v", "raw"), *again = NULL;
    CstDownload *download;
    g_autoptr(GError) error = NULL;
    char got[6];
    uint64_t hole;
    size_t len;

    fixture_write(f, "p", "v", "before");
    download = cst_vol_download(pool, "v", 0, 0, 0, NULL, NULL);
    assert_true(cst_vol_delete(pool, "v", 0, NULL, &error));
    assert_no_error(error);
    assert_false(fixture_exists(f, "p", "v"));
    again = create(pool, "v", "raw");
    assert_true(cst_vol_resize(pool, "v", 16 * CST_MIB, 0, NULL, NULL));
    assert_true(cst_download_read(download, got, sizeof(got), &len, &hole, NULL));
    assert_int_equal(len, 6);
    assert_memory_equal(got, "before", 6);
    assert_false(cst_pool_stop(pool, NULL, &error));
    assert_error(&error, CST_ERROR_BUSY);
    cst_download_free(download);
    assert_true(cst_pool_stop(pool, NULL, NULL));
}

/* --- waiting for work ------------------------------------------------------------------------- */

typedef struct {
    CstPool *pool;
    CstTask *task;
    GThread *thread;
} Slow;

static gpointer wipe_slowly(gpointer data)
{
    Slow *slow = data;

    cst_vol_wipe(slow->pool, "v", CST_WIPE_RANDOM, 0, slow->task, NULL);
    return NULL;
}

static void slow_begin(Slow *slow, CstPool *pool)
{
    slow->pool = pool;
    slow->task = cst_task_new();
    cst_task_set_rate(slow->task, 1000);
    slow->thread = g_thread_new("slow", wipe_slowly, slow);
    AWAIT(cst_task_progress(slow->task).total > 0);
}

static void slow_end(Slow *slow)
{
    cst_task_cancel(slow->task);
    g_thread_join(slow->thread);
    cst_task_unref(slow->task);
}

/* The call has waited before it was refused. @passes: passes of "pool.wait" before the call. */
static void assert_refused_after_wait(gboolean done, guint *passes)
{
    guint now = point_passed("pool.wait");

    assert_false(done);
    assert_true(now > *passes);
    *passes = now;
}

static void a_wait_has_its_limit(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autofree char *made = create(pool, "v", "raw");
    g_autoptr(CstTask) task = cst_task_new();
    GError *errors[3] = {NULL};
    guint passes = 0;
    Slow slow;

    cst_task_set_max_wait(task, LIMIT_US);
    slow_begin(&slow, pool);
    point_watch("pool.wait");
    assert_refused_after_wait(cst_vol_resize(pool, "v", 16 * CST_MIB, 0, task, &errors[0]),
                              &passes);
    assert_refused_after_wait(cst_pool_stop(pool, task, &errors[1]), &passes);
    assert_refused_after_wait(clone_to(pool, "v", "copy", task, &errors[2]), &passes);
    points_clear();
    slow_end(&slow);
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        assert_non_null(strstr(errors[i]->message, "'wipe'"));
        assert_error(&errors[i], CST_ERROR_BUSY);
    }
    assert_true(cst_vol_resize(pool, "v", 16 * CST_MIB, 0, task, NULL));
}

typedef struct {
    CstPool *pool;
    CstTask *task;
    gboolean (*call)(CstPool *pool, CstTask *task, GError **error);
    gboolean done;
    GError *error;
} Waiter;

static gboolean call_resize(CstPool *pool, CstTask *task, GError **error)
{
    return cst_vol_resize(pool, "v", 16 * CST_MIB, 0, task, error);
}

static gpointer run_waiter(gpointer data)
{
    Waiter *waiter = data;

    waiter->done = waiter->call(waiter->pool, waiter->task, &waiter->error);
    return NULL;
}

static GThread *waiter_begin(Waiter *waiter)
{
    GThread *thread = g_thread_new("waiter", run_waiter, waiter);

    AWAIT(cst_task_waiting(waiter->task));
    return thread;
}

static void a_wait_ends_with_its_client(void **state)
{
    static const struct {
        gboolean (*call)(CstPool *pool, CstTask *task, GError **error);
    } calls[] = {{call_resize}, {cst_pool_stop}};
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autofree char *made = create(pool, "v", "raw");
    Slow slow;

    slow_begin(&slow, pool);
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autoptr(CstTask) task = cst_task_new();
        Waiter waiter = {.pool = pool, .task = task, .call = calls[i].call};
        GThread *thread = waiter_begin(&waiter);

        cst_task_abandon(task);
        g_thread_join(thread);
        assert_error(&waiter.error, CST_ERROR_CANCELLED);
    }
    slow_end(&slow);
    assert_true(cst_pool_is_active(pool));
}

/* A closing stream is waited for, because closing is short. */
static void a_stream_that_ends_is_waited_for(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autofree char *made = create(pool, "v", "raw");
    g_autoptr(CstTask) task = cst_task_new();
    Waiter waiter = {.pool = pool, .task = task, .call = call_resize};
    CstUpload *upload = cst_vol_upload(pool, "v", 0, 0, 0, NULL, NULL);
    GThread *thread;

    cst_upload_ends(upload);
    thread = waiter_begin(&waiter);
    cst_upload_free(upload);
    g_thread_join(thread);
    assert_no_error(waiter.error);
    assert_true(waiter.done);
}

/* A detached job waits without a limit, and succeeds. */
static void a_detached_wait_outlives_its_client(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autofree char *made = create(pool, "v", "raw");
    g_autoptr(CstTask) task = cst_task_new();
    Waiter waiter = {.pool = pool, .task = task, .call = call_resize};
    GThread *thread;
    Slow slow;

    cst_task_set_max_wait(task, LIMIT_US);
    cst_task_detach(task);
    slow_begin(&slow, pool);
    thread = waiter_begin(&waiter);
    cst_task_abandon(task);
    /* No event wakes the wait, so each pass lasts 50 ms. After so many passes the limit is over. */
    point_watch("pool.wait");
    point_await("pool.wait", 2);
    point_await("pool.wait", LIMIT_US / (50 * G_TIME_SPAN_MILLISECOND) + 2);
    points_clear();
    slow_end(&slow);
    g_thread_join(thread);
    assert_no_error(waiter.error);
    assert_true(waiter.done);
}

/* A stop that has failed no longer blocks other work. */
static void work_continues_after_a_stop_that_timed_out(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autofree char *made = create(pool, "v", "raw"), *other = NULL;
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    Slow slow;

    cst_task_set_max_wait(task, 100 * G_TIME_SPAN_MILLISECOND);
    slow_begin(&slow, pool);
    assert_false(cst_pool_stop(pool, task, &error));
    assert_error(&error, CST_ERROR_BUSY);
    other = create(pool, "other", "raw");
    slow_end(&slow);
}

/* --- clones and a stop that waits ------------------------------------------------------------- */

typedef struct {
    CstPool *from, *to;
    const char *source, *name;
    CstTask *task;
    GThread *thread;
    GError *error;
} Clone;

static gpointer run_clone(gpointer data)
{
    Clone *clone = data;
    g_autofree char *xml = g_strdup_printf("<volume><name>%s</name></volume>", clone->name);
    g_autofree char *made = NULL;

    cst_vol_create_from(clone->to, xml, clone->from, clone->source, 0, clone->task, &made,
                        &clone->error);
    return NULL;
}

static void clone_begin(Clone *clone, CstPool *from, const char *source, CstPool *to,
                        const char *name)
{
    *clone = (Clone){.from = from, .to = to, .source = source, .name = name};
    clone->task = cst_task_new();
    cst_task_set_max_wait(clone->task, 120 * G_TIME_SPAN_SECOND);
    clone->thread = g_thread_new("clone", run_clone, clone);
}

static void clone_end(Clone *clone)
{
    g_thread_join(clone->thread);
    cst_task_unref(clone->task);
}

static GThread *stop_begin(Waiter *waiter, CstPool *pool)
{
    *waiter = (Waiter){.pool = pool, .task = cst_task_new(), .call = cst_pool_stop};
    return waiter_begin(waiter);
}

static void stop_end(Waiter *waiter, GThread *thread)
{
    g_thread_join(thread);
    cst_task_unref(waiter->task);
    assert_no_error(waiter->error);
    assert_true(waiter->done);
    assert_false(cst_pool_is_active(waiter->pool));
}

/* The pool and the volume have no claim: exclusive operations succeed at once. */
static void assert_unclaimed(CstPool *pool, const char *name)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    cst_task_set_max_wait(task, 1);
    assert_true(cst_vol_resize(pool, name, 16 * CST_MIB, 0, task, &error));
    assert_true(cst_pool_stop(pool, task, &error));
}

/*
 * A clone from another pool is new work. It waits like all new work, and is refused after the stop.
 */
static void a_stop_does_not_wait_for_clones_that_come_later(void **state)
{
    g_autoptr(CstPool) from = fixture_pool(*state, "from"), to = fixture_pool(*state, "to");
    g_autofree char *source = create(from, "source", "raw"), *busy = create(to, "v", "raw");
    Clone clones[2];
    Waiter stop;
    GThread *thread;
    Slow slow;

    slow_begin(&slow, to);
    thread = stop_begin(&stop, to);
    clone_begin(&clones[0], from, source, to, "copy");
    clone_begin(&clones[1], to, busy, to, "copy");
    for (size_t i = 0; i < G_N_ELEMENTS(clones); i++)
        AWAIT(cst_task_waiting(clones[i].task));
    slow_end(&slow);
    stop_end(&stop, thread);
    for (size_t i = 0; i < G_N_ELEMENTS(clones); i++) {
        clone_end(&clones[i]);
        assert_error(&clones[i].error, CST_ERROR_STATE);
    }
    assert_false(fixture_exists(*state, "to", "copy"));
    assert_unclaimed(from, source);
    assert_true(cst_pool_start(to, 0, NULL, NULL));
    assert_unclaimed(to, busy);
}

/*
 * A clone is not refused if it holds a volume that another stop waits for, because each could wait
 * for the next.
 */
static void clones_between_pools_that_stop_go_on(void **state)
{
    g_autoptr(CstPool) from = fixture_pool(*state, "from"), to = fixture_pool(*state, "to");
    g_autofree char *source = create(from, "source", "raw"), *busy = create(to, "v", "raw");
    GThread *thread, *other_thread;
    Waiter stop, other_stop;
    Clone clone;
    Slow slow;

    slow_begin(&slow, to);
    thread = stop_begin(&stop, to);
    clone_begin(&clone, from, source, to, "copy");
    AWAIT(cst_task_waiting(clone.task));
    other_thread = stop_begin(&other_stop, from);
    clone_end(&clone);
    stop_end(&other_stop, other_thread);
    assert_true(cst_task_waiting(stop.task));
    slow_end(&slow);
    stop_end(&stop, thread);
    assert_no_error(clone.error);
    assert_true(fixture_exists(*state, "to", "copy"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* --- volumes in use by QEMU ------------------------------------------------------------------- */

/*
 * Opens the volume with the locks of a QEMU that writes to it and permits readers (image/hold.h).
 */
static int write_as_qemu(CstPool *pool, const char *name)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1};
    g_autofree char *path = cst_vol_get_path(pool, name, NULL);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    return fd;
}

static gboolean map(CstPool *pool, unsigned flags, GError **error)
{
    g_autoptr(CstVolMap) runs = cst_vol_map(pool, "v", 0, 0, NULL, error);

    return runs != NULL;
}

static gboolean measure(CstPool *pool, unsigned flags, GError **error)
{
    CstMeasureReport report;

    return cst_vol_measure(pool, "v", "raw", NULL, NULL, &report, error);
}

static gboolean compare(CstPool *pool, unsigned flags, GError **error)
{
    CstCompareReport report;

    return cst_vol_compare(pool, "v", pool, "other", NULL, &report, error);
}

static gboolean convert(CstPool *pool, unsigned flags, GError **error)
{
    const CstVolConvert how = {.name = "copy", .format = "raw", .flags = flags};

    return cst_vol_convert(pool, pool, "v", &how, NULL, error);
}

/* @format: of the copy. If it differs from the volume's format, the guest's view is copied. */
static gboolean copy_as(CstPool *pool, const char *format, unsigned flags, GError **error)
{
    g_autofree char *xml = g_strdup_printf(
        "<volume><name>copy</name><target><format type='%s'/></target></volume>", format);
    g_autofree char *made = NULL;

    return cst_vol_create_from(pool, xml, pool, "v", flags, NULL, &made, error);
}

static gboolean copy_bytes(CstPool *pool, unsigned flags, GError **error)
{
    return copy_as(pool, "qcow2", flags, error);
}

static gboolean copy_content(CstPool *pool, unsigned flags, GError **error)
{
    return copy_as(pool, "raw", flags, error);
}

static gboolean flatten(CstPool *pool, unsigned flags, GError **error)
{
    return cst_vol_flatten(pool, "v", NULL, error);
}

/*
 * A report shows one state of the volume. A copy would mix several states, so it is refused unless
 * requested.
 */
static void volume_of_a_running_machine_can_be_read_but_not_copied(void **state)
{
    static const struct {
        gboolean (*call)(CstPool *pool, unsigned flags, GError **error);
        unsigned flags;
        gboolean done;
    } rows[] = {
        {map, 0, TRUE},
        {measure, 0, TRUE},
        {compare, 0, TRUE},
        {convert, 0, FALSE},
        {convert, CST_VOL_CONVERT_FORCE_SHARE, TRUE},
        {copy_bytes, 0, FALSE},
        {copy_bytes, CST_VOL_CREATE_FORCE_SHARE, TRUE},
        {copy_content, 0, FALSE},
        {copy_content, CST_VOL_CREATE_FORCE_SHARE, TRUE},
        {flatten, 0, FALSE},
    };
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");
    g_autofree char *made = create(pool, "v", "qcow2"), *other = create(pool, "other", "raw");
    int machine = write_as_qemu(pool, "v");

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        if (rows[i].call(pool, rows[i].flags, &error) != rows[i].done)
            fail_msg("row %zu: %s", i, error ? error->message : "done");
        if (!rows[i].done)
            assert_error(&error, CST_ERROR_BUSY);
        cst_vol_delete(pool, "copy", 0, NULL, NULL);
    }
    close(machine);
    assert_true(convert(pool, 0, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(operation_during_an_upload_fails_at_once),
        CASE(changing_volume_cannot_become_a_base),
        CASE(downloads_share_a_volume_and_other_operations_fail_at_once),
        CASE(a_file_is_deleted_while_it_is_downloaded),
        CASE(a_wait_has_its_limit),
        CASE(a_wait_ends_with_its_client),
        CASE(a_stream_that_ends_is_waited_for),
        CASE(a_detached_wait_outlives_its_client),
        CASE(work_continues_after_a_stop_that_timed_out),
        CASE(a_stop_does_not_wait_for_clones_that_come_later),
        CASE(clones_between_pools_that_stop_go_on),
        CASE(volume_of_a_running_machine_can_be_read_but_not_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
