/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The promise of a pool, its limits, and reservations by operations that run at the same time. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <base/error.h>
#include <base/units.h>
#include <service/images.h>
#include <service/promise.h>
#include <service/snapshots.h>
#include <service/trash.h>

#include "core/kept_snapshots.h"
#include "core/promise.h"
#include "core/scan.h"
#include "points.h"

#define CAPACITY CST_MIB

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* Copies where a file system would share extents, so that each directory can keep snapshots. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    uint8_t block[4096];
    va_list args;
    ssize_t len;
    int from;

    va_start(args, request);
    if (request != FICLONE) {
        void *argument = va_arg(args, void *);

        va_end(args);
        return __real_ioctl(fd, request, argument);
    }
    from = va_arg(args, int);
    for (off_t at = 0; (len = pread(from, block, sizeof(block), at)) > 0; at += len)
        assert_int_equal(pwrite(fd, block, (size_t)len, at), len);
    va_end(args);
    return 0;
}

static CstPoolPromise promise_now(CstPool *pool)
{
    g_autoptr(GError) error = NULL;
    CstPoolPromise promise = {0};

    cst_pool_get_promise(pool, &promise, &error);
    assert_no_error(error);
    return promise;
}

static uint64_t promised(CstPool *pool)
{
    return promise_now(pool).promised;
}

/* Redefines the pool with the element @elements in Cistern's namespace. */
static void define_with(Fixture *f, const char *elements)
{
    g_autoptr(CstPool) known = cst_service_pool_by_name(f->service, "p", NULL);
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *xml = g_strdup_printf(
        "<pool type='dir' xmlns:c='urn:cistern:storage:1.0'><name>p</name><uuid>%s</uuid>"
        "<target><path>%s/p</path></target>%s</pool>",
        cst_uuid_format(cst_pool_uuid(known), uuid), f->images, elements);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) pool = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
}

static void quota_set(Fixture *f, guint mebibytes)
{
    g_autofree char *element = g_strdup_printf("<c:limits quota='%u' unit='MiB'/>", mebibytes);

    define_with(f, element);
}

static gboolean try_create(CstPool *pool, const char *name, uint64_t capacity, GError **error)
{
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity>%" G_GUINT64_FORMAT "</capacity>"
                        "<target><format type='qcow2'/></target></volume>",
                        name, capacity);
    g_autofree char *made = NULL;

    return cst_vol_create(pool, xml, 0, NULL, &made, error);
}

static void assert_create_refused(CstPool *pool, const char *name, uint64_t capacity,
                                  const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(try_create(pool, name, capacity, &error));
    if (!strstr(error->message, words))
        fail_msg("no \"%s\" in: %s", words, error->message);
    assert_error(&error, CST_ERROR_NO_SPACE);
}

/* --- the sum ---------------------------------------------------------------------------------- */

static void promise_counts_capacities_and_snapshots(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");

    assert_int_equal(promised(pool), 0);
    fixture_create(pool, "raw", "raw", "<allocation>0</allocation>");
    fixture_create(pool, "image", "qcow2", "");
    assert_int_equal(promised(pool), 2 * CAPACITY);
    assert_int_equal(promise_now(pool).volumes, 2);
    assert_true(cst_vol_snapshot_create(pool, "image", "one", 0, NULL, NULL));
    assert_int_equal(promised(pool), 3 * CAPACITY);
    assert_true(cst_vol_snapshot_create(pool, "raw", "one", 0, NULL, NULL));
    assert_true(cst_vol_snapshot_create(pool, "raw", "two", 0, NULL, NULL));
    assert_int_equal(promised(pool), 5 * CAPACITY);
    assert_true(cst_vol_rename(pool, "raw", "renamed", NULL, NULL));
    assert_int_equal(promised(pool), 5 * CAPACITY);
    assert_true(cst_vol_snapshot_delete(pool, "renamed", "one", NULL, NULL));
    assert_int_equal(promised(pool), 4 * CAPACITY);
    assert_true(cst_vol_delete(pool, "renamed", CST_VOL_DELETE_WITH_SNAPSHOTS, NULL, NULL));
    assert_int_equal(promised(pool), 2 * CAPACITY);
    fixture_restart(f, CST_SERVICE_DAEMON);
    g_clear_pointer(&pool, cst_pool_unref);
    pool = cst_service_pool_by_name(f->service, "p", NULL);
    assert_int_equal(promised(pool), 2 * CAPACITY);
}

/* A volume of another program counts after a refresh. */
static void promise_follows_a_refresh(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *block = g_strnfill(4096, 'x');

    fixture_create(pool, "v", "raw", "");
    assert_true(cst_vol_snapshot_create(pool, "v", "one", 0, NULL, NULL));
    assert_int_equal(promised(pool), 2 * CAPACITY);
    fixture_write(f, "p", "other", block);
    assert_true(cst_pool_refresh(pool, 0, NULL, NULL));
    assert_int_equal(promised(pool), 2 * CAPACITY + 4096);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    assert_false(cst_pool_get_promise(pool, &(CstPoolPromise){0}, NULL));
}

static void snapshot_during_the_listing(gpointer data)
{
    assert_true(cst_vol_snapshot_create(data, "v", "two", 0, NULL, NULL));
}

static void snapshot_that_is_made_during_the_listing_counts(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");

    fixture_create(pool, "v", "raw", "");
    assert_true(cst_vol_snapshot_create(pool, "v", "one", 0, NULL, NULL));
    point_run("kept_snapshots.list.read", snapshot_during_the_listing, pool);
    assert_int_equal(promised(pool), 3 * CAPACITY);
    points_clear();
}

static void first_snapshot_during_the_listing(gpointer data)
{
    assert_true(cst_vol_snapshot_create(data, "w", "one", 0, NULL, NULL));
}

/* The volume is not among the names of the volumes with snapshots. */
static void first_snapshot_after_the_names_are_listed_counts(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");

    fixture_create(pool, "v", "raw", "");
    fixture_create(pool, "w", "raw", "");
    assert_true(cst_vol_snapshot_create(pool, "v", "one", 0, NULL, NULL));
    point_run("kept_snapshots.list.named", first_snapshot_during_the_listing, pool);
    assert_int_equal(promised(pool), 4 * CAPACITY);
    points_clear();
}

static void refresh_during_the_listing(gpointer data)
{
    assert_true(cst_pool_refresh(data, 0, NULL, NULL));
}

static void refresh_during_the_listing_lists_again(void **state)
{
    g_autoptr(CstPool) pool = fixture_pool(*state, "p");

    fixture_create(pool, "v", "raw", "");
    assert_true(cst_vol_snapshot_create(pool, "v", "one", 0, NULL, NULL));
    point_run("kept_snapshots.list.read", refresh_during_the_listing, pool);
    assert_int_equal(promised(pool), 2 * CAPACITY);
    points_clear();
}

/* --- the limits ------------------------------------------------------------------------------- */

static void factor_of_the_capacity_is_a_limit(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    const uint64_t capacity = promise_now(pool).capacity;

    define_with(f, "<c:limits overcommit='1.5'/>");
    assert_true(try_create(pool, "a", capacity, NULL));
    assert_create_refused(pool, "b", capacity, "pool-limits p --overcommit FACTOR");
    assert_true(try_create(pool, "b", capacity / 4, NULL));
    define_with(f, "<c:limits overcommit='1'/>");
    assert_create_refused(pool, "c", 65536, "1 times its capacity");
    define_with(f, "<c:limits overcommit='2'/>");
    assert_true(try_create(pool, "c", capacity / 4, NULL));
}

static void message_names_the_limit_and_the_next_step(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "v", "raw", "");
    quota_set(f, 2);
    assert_false(try_create(pool, "w", 2 * CAPACITY, &error));
    assert_string_equal(
        error->message,
        "cannot promise 2.00 MiB more to volume 'w': pool 'p' has promised 1.00 MiB, "
        "and its quota is 2.00 MiB; delete volumes or snapshots, or raise the quota "
        "(pool-limits p --quota SIZE)");
}

static void image_that_grows_needs_the_difference(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "v", "qcow2", "");
    quota_set(f, 2);
    assert_true(cst_vol_resize(pool, "v", 2 * CAPACITY, 0, NULL, &error));
    assert_false(cst_vol_resize(pool, "v", CAPACITY, CST_VOL_RESIZE_DELTA, NULL, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    quota_set(f, 1);
    assert_true(cst_vol_resize(pool, "v", CAPACITY, CST_VOL_RESIZE_SHRINK, NULL, &error));
    assert_int_equal(promised(pool), CAPACITY);
}

/* A snapshot inside of the image counts with the capacity of the volume. */
static void image_that_grows_needs_the_difference_for_each_snapshot(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "v", "qcow2", "");
    assert_true(cst_vol_snapshot_create(pool, "v", "s", 0, NULL, NULL));
    quota_set(f, 3);
    assert_false(cst_vol_resize(pool, "v", 2 * CAPACITY, 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    quota_set(f, 4);
    assert_true(cst_vol_resize(pool, "v", 2 * CAPACITY, 0, NULL, &error));
    assert_int_equal(promised(pool), 4 * CAPACITY);
}

static void revert_to_a_larger_snapshot_needs_the_difference(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "v", "raw", "");
    assert_true(cst_vol_snapshot_create(pool, "v", "large", 0, NULL, NULL));
    assert_true(cst_vol_resize(pool, "v", CAPACITY / 2, CST_VOL_RESIZE_SHRINK, NULL, &error));
    assert_no_error(error);
    assert_int_equal(promised(pool), CAPACITY + CAPACITY / 2);
    quota_set(f, 1);
    assert_false(cst_vol_snapshot_revert(pool, "v", "large", NULL, NULL, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    quota_set(f, 2);
    assert_true(cst_vol_snapshot_revert(pool, "v", "large", NULL, NULL, &error));
    assert_int_equal(promised(pool), 2 * CAPACITY);
}

/* Uploads two blocks. Returns whether the upload has succeeded. */
static gboolean upload_blocks(CstPool *pool, uint64_t offset, uint64_t length, GError **error)
{
    static const uint8_t data[65536] = {1};
    g_autoptr(CstUpload) upload = cst_vol_upload(pool, "v", offset, length, 0, NULL, error);

    return upload && cst_upload_write(upload, data, sizeof(data), error) &&
           cst_upload_write(upload, data, sizeof(data), error) && cst_upload_finish(upload, error);
}

static void upload_above_the_quota_is_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "v", "raw", "");
    quota_set(f, 1);
    assert_true(upload_blocks(pool, CAPACITY - 131072, 0, &error));
    assert_false(upload_blocks(pool, CAPACITY - 65536, 131072, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    /* Without a length, the upload is refused where it exceeds the limit. */
    assert_false(upload_blocks(pool, CAPACITY - 65536, 0, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    assert_int_equal(promised(pool), CAPACITY);
    quota_set(f, 2);
    assert_true(upload_blocks(pool, CAPACITY, 0, &error));
    assert_int_equal(promised(pool), CAPACITY + 131072);
}

static void commit_into_a_smaller_base_needs_the_difference(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *backing =
        g_strdup_printf("<backingStore><path>%s/p/base</path><format type='qcow2'/>"
                        "</backingStore>",
                        f->images);
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "base", "qcow2", "");
    fixture_create(pool, "top", "qcow2", backing);
    assert_true(cst_vol_resize(pool, "top", 2 * CAPACITY, 0, NULL, &error));
    quota_set(f, 3);
    assert_false(cst_vol_commit(pool, "top", NULL, 0, NULL, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    quota_set(f, 4);
    assert_true(cst_vol_commit(pool, "top", NULL, 0, NULL, &error));
    assert_no_error(error);
    assert_int_equal(promised(pool), 4 * CAPACITY);
}

static void move_counts_in_the_other_pool(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(CstPool) from = fixture_pool(f, "q");
    const CstVolMove linked = {0}, copied = {.format = "qcow2"};
    g_autoptr(GError) error = NULL;

    fixture_create(from, "a", "raw", "");
    fixture_create(from, "b", "raw", "");
    assert_true(cst_vol_snapshot_create(from, "b", "one", 0, NULL, NULL));
    define_with(f, "<c:limits quota='1'/>");
    assert_false(cst_vol_move(from, "a", pool, &linked, NULL, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    assert_false(cst_vol_move(from, "a", pool, &copied, NULL, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    assert_int_equal(promised(from), 3 * CAPACITY);
    quota_set(f, 1);
    assert_true(cst_vol_move(from, "a", pool, &linked, NULL, &error));
    assert_int_equal(promised(pool), CAPACITY);
    quota_set(f, 2);
    assert_false(cst_vol_move(from, "b", pool, &copied, NULL, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    quota_set(f, 3);
    assert_true(cst_vol_move(from, "b", pool, &copied, NULL, &error));
    assert_no_error(error);
    assert_int_equal(promised(pool), 3 * CAPACITY);
    assert_int_equal(promised(from), 0);
}

/* --- reservations ----------------------------------------------------------------------------- */

typedef struct {
    CstPool *pool;
    const char *name;
    gboolean made;
    GError *error;
} Creation;

static gpointer creation_run(gpointer data)
{
    Creation *creation = data;

    creation->made = try_create(creation->pool, creation->name, CAPACITY, &creation->error);
    return NULL;
}

static void create_another(gpointer data)
{
    creation_run(data);
}

/* The other creation succeeds between the check of the storage and the reservation. */
static void creation_that_comes_second_is_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    Creation other = {pool, "other", FALSE, NULL};

    quota_set(f, 1);
    point_run("promise.reserve.check", create_another, &other);
    assert_create_refused(pool, "v", CAPACITY, "quota");
    assert_no_error(other.error);
    assert_int_equal(promised(pool), CAPACITY);
    points_clear();
}

/* The first creation is held where its draft exists and its volume does not. */
static void creation_that_runs_has_its_promise(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    Creation first = {pool, "first", FALSE, NULL};
    GThread *thread;

    quota_set(f, 1);
    point_hold("vol.create.reserved");
    thread = g_thread_new("create", creation_run, &first);
    point_await("vol.create.reserved", 1);
    assert_int_equal(promised(pool), CAPACITY);
    assert_int_equal(promise_now(pool).volumes, 1);
    assert_create_refused(pool, "second", CAPACITY, "has promised 1.00 MiB");
    point_release("vol.create.reserved");
    g_thread_join(thread);
    assert_no_error(first.error);
    assert_true(first.made);
    assert_int_equal(promised(pool), CAPACITY);
    assert_int_equal(pool->promises->len, 0);
    points_clear();
}

/* The volume is in the table, and its reservation has not ended. */
static void promise_in_the_table_is_counted_once(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autoptr(CstPoolState) storage = pool_state_get(pool, NULL);
    g_auto(PoolPromise) promise = {0};
    PromiseRequest request = {"v", CAPACITY, TRUE};

    assert_true(pool_promise_reserve(&promise, pool, storage, &request, NULL));
    assert_int_equal(promised(pool), CAPACITY);
    fixture_create(pool, "v", "raw", "");
    assert_int_equal(promised(pool), CAPACITY);
    assert_int_equal(promise_now(pool).volumes, 1);
    request.added = FALSE;
    assert_true(pool_promise_reserve(&promise, pool, storage, &request, NULL));
    assert_int_equal(promised(pool), 2 * CAPACITY);
    pool_promise_end(&promise);
    assert_int_equal(promised(pool), CAPACITY);
}

static void fail_next_create(gpointer data)
{
    g_autofree char *path = g_build_filename(((Fixture *)data)->images, "p", NULL);
    g_autofree char *aside = g_strconcat(path, ".aside", NULL);

    assert_int_equal(rename(path, aside), 0);
}

/* Each failure gives the reservation back. */
static void failed_operation_leaves_no_reservation(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    g_autofree char *path = g_build_filename(f->images, "p", NULL);
    g_autofree char *aside = g_strconcat(path, ".aside", NULL);
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "v", "raw", "");
    /* A failure of the storage after the reservation, and the rollback of the draft. */
    point_run("vol.create.reserved", fail_next_create, f);
    assert_false(try_create(pool, "w", CAPACITY, &error));
    assert_int_equal(rename(aside, path), 0);
    g_clear_error(&error);
    assert_int_equal(pool->promises->len, 0);
    points_clear();
    /* A name that exists, and an operation that is cancelled. */
    assert_false(try_create(pool, "v", CAPACITY, &error));
    g_clear_error(&error);
    assert_int_equal(pool->promises->len, 0);
    cst_task_cancel(task);
    assert_false(cst_vol_snapshot_create(pool, "v", "one", 0, task, &error));
    g_clear_error(&error);
    assert_int_equal(pool->promises->len, 0);
    assert_false(cst_vol_snapshot_revert(pool, "v", "none", NULL, NULL, &error));
    g_clear_error(&error);
    assert_int_equal(pool->promises->len, 0);
    assert_int_equal(promised(pool), CAPACITY);
}

/* A set of snapshots is made completely, or not at all. */
static void set_of_snapshots_is_refused_as_a_whole(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    const CstSnapshotVolume volumes[] = {{.pool = pool, .volume = "a"},
                                         {.pool = pool, .volume = "b"}};
    const CstSnapshotRequest request = {.name = "s"};
    g_auto(CstSnapshotSet) set = {0};
    g_autoptr(GPtrArray) list = NULL;
    g_autoptr(GError) error = NULL;

    fixture_create(pool, "a", "qcow2", "");
    fixture_create(pool, "b", "raw", "");
    quota_set(f, 3);
    assert_false(cst_vol_snapshot_create_set(volumes, 2, &request, NULL, &set, &error));
    assert_error(&error, CST_ERROR_NO_SPACE);
    list = cst_vol_snapshots(pool, "a", NULL, NULL);
    assert_int_equal(list->len, 0);
    assert_int_equal(pool->promises->len, 0);
    quota_set(f, 4);
    assert_true(cst_vol_snapshot_create_set(volumes, 2, &request, NULL, &set, &error));
    assert_no_error(error);
    assert_int_equal(promised(pool), 4 * CAPACITY);
}

/* Many creations in threads: exactly as many succeed as the limit permits. */
static void limit_holds_among_threads(void **state)
{
    enum { THREADS = 8, FIT = 5 };
    Fixture *f = *state;
    g_autoptr(CstPool) pool = fixture_pool(f, "p");
    Creation creations[THREADS];
    GThread *threads[THREADS];
    guint made = 0;

    quota_set(f, FIT);
    for (guint i = 0; i < THREADS; i++) {
        creations[i] = (Creation){pool, g_strdup_printf("v%u", i), FALSE, NULL};
        threads[i] = g_thread_new("create", creation_run, &creations[i]);
    }
    for (guint i = 0; i < THREADS; i++) {
        g_thread_join(threads[i]);
        made += creations[i].made;
        if (!creations[i].made)
            assert_error(&creations[i].error, CST_ERROR_NO_SPACE);
        g_free((char *)creations[i].name);
    }
    assert_int_equal(made, FIT);
    assert_int_equal(promised(pool), FIT * CAPACITY);
    assert_int_equal(pool->promises->len, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(promise_counts_capacities_and_snapshots),
        CASE(promise_follows_a_refresh),
        CASE(snapshot_that_is_made_during_the_listing_counts),
        CASE(first_snapshot_after_the_names_are_listed_counts),
        CASE(refresh_during_the_listing_lists_again),
        CASE(factor_of_the_capacity_is_a_limit),
        CASE(message_names_the_limit_and_the_next_step),
        CASE(image_that_grows_needs_the_difference),
        CASE(image_that_grows_needs_the_difference_for_each_snapshot),
        CASE(revert_to_a_larger_snapshot_needs_the_difference),
        CASE(upload_above_the_quota_is_refused),
        CASE(commit_into_a_smaller_base_needs_the_difference),
        CASE(move_counts_in_the_other_pool),
        CASE(creation_that_comes_second_is_refused),
        CASE(creation_that_runs_has_its_promise),
        CASE(promise_in_the_table_is_counted_once),
        CASE(failed_operation_leaves_no_reservation),
        CASE(set_of_snapshots_is_refused_as_a_whole),
        CASE(limit_holds_among_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
