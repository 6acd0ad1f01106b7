/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rotations that fail: the valid value at each point, on the disk and on the cluster, and the
 * thread that recovers them.
 */
#include "fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <utime.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/backend.h>
#include <service/pools.h>
#include <store/rotation_lock.h>
#include <store/secret_values.h>

#include "fake_ceph.h"
#include "points.h"

#define SECRET "aaaaaaaa-0000-0000-0000-000000000001"
#define OLD    "AQB6+iFpb1mmLRAAThcBt9Lqh1xF0Fvu7QkrYg=="
#define NEW    "AQBbbCJpAAAAABAA0JR5RL1bF0jJkqY1b5CPaQ=="
#define ADMIN  "AQC7bCJpAAAAABAAiLhZ0nXrqVjP2mV1t0cXPQ=="

static CstUuid uuid; /* of the secret */

/* --- a disk that fails ------------------------------------------------------------------------ */

static const char *unsyncable; /* a directory whose sync fails; NULL: all succeed */

int __wrap_fsync(int fd);
int __real_fsync(int fd);

int __wrap_fsync(int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *path = unsyncable ? g_file_read_link(link, NULL) : NULL;

    if (!path || strcmp(path, unsyncable) != 0)
        return __real_fsync(fd);
    errno = EIO;
    return -1;
}

static const char *silent; /* the pool whose storage does not answer a login; NULL: all answer */

gboolean __wrap_cst_pool_state_prove(CstPoolState *state, GError **error);
gboolean __real_cst_pool_state_prove(CstPoolState *state, GError **error);

gboolean __wrap_cst_pool_state_prove(CstPoolState *state, GError **error)
{
    return g_strcmp0(state->def->name, silent) == 0
               ? cst_fail(error, CST_ERROR_UNREACHABLE, "the storage does not answer")
               : __real_cst_pool_state_prove(state, error);
}

static void break_disk(gpointer dir)
{
    unsyncable = dir;
}

/* --- a secret with a pool --------------------------------------------------------------------- */

static void define_secret(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_auto(CstSecretBytes) value = {0};

    cst_secret_row_free(cst_service_secret_define(
        f->service,
        "<secret><uuid>" SECRET "</uuid><usage type='ceph'><name>s</name></usage></secret>", 0,
        &error));
    assert_no_error(error);
    assert_true(cst_secret_bytes_from_base64(&value, OLD, strlen(OLD), NULL));
    assert_true(cst_service_secret_set_value(f->service, &uuid, value.data, value.len, 0, NULL));
}

static CstPool *define_pool_as(Fixture *f, const char *name)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='rbd'><name>%s</name><source><host name='fake'/><name>libvirt</name>"
        "<auth type='ceph' username='u'><secret uuid='" SECRET "'/></auth></source></pool>",
        name);
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
    return pool;
}

static CstPool *define_pool(Fixture *f)
{
    return define_pool_as(f, "a");
}

static int set_up(void **state)
{
    assert_true(cst_uuid_parse(SECRET, &uuid));
    fake_ceph_reset();
    fake_ceph_require("u", OLD);
    fake_ceph_require_admin(ADMIN);
    assert_int_equal(fixture_setup(state), 0);
    define_secret(*state);
    return 0;
}

static int tear_down(void **state)
{
    unsyncable = silent = NULL;
    fake_ceph_resume();
    return fixture_teardown(state);
}

static gboolean rotate(Fixture *f, GError **error)
{
    g_auto(CstSecretBytes) value = {0}, key = {0};
    CstSecretRotate args = {
        .uuid = uuid, .value = &value, .admin_user = "admin", .admin_key = &key};
    g_autoptr(GPtrArray) pools = NULL;

    assert_true(cst_secret_bytes_from_base64(&value, NEW, strlen(NEW), NULL));
    assert_true(cst_secret_bytes_from_base64(&key, ADMIN, strlen(ADMIN), NULL));
    return cst_service_secret_rotate(f->service, &args, NULL, &pools, error);
}

/* @next NULL: no pending value. */
static void assert_values(Fixture *f, const char *now, const char *next)
{
    g_auto(CstSecretBytes) present = {0}, pending = {0}, wanted = {0};

    assert_true(cst_secret_bytes_from_base64(&wanted, now, strlen(now), NULL));
    assert_true(cst_secret_value_load(f->paths, &uuid, &present, NULL));
    assert_int_equal(present.len, wanted.len);
    assert_memory_equal(present.data, wanted.data, wanted.len);
    assert_true(cst_secret_next_load(f->paths, &uuid, &pending, NULL));
    assert_int_equal(pending.data != NULL, next != NULL);
}

static void assert_cluster_has(const char *key)
{
    g_autofree char *keyring = fake_ceph_keyring();

    assert_non_null(strstr(keyring, key));
}

/* Leaves the state of a program that is killed before the switch. */
static void leave_two(Fixture *f, gint64 age_s)
{
    g_auto(CstSecretBytes) value = {0};
    g_autofree char *path = g_strconcat(f->paths->secret_dir, "/", SECRET, ".next-base64", NULL);
    struct utimbuf times = {time(NULL) - age_s, time(NULL) - age_s};

    assert_true(cst_secret_bytes_from_base64(&value, NEW, strlen(NEW), NULL));
    assert_true(cst_secret_next_save(f->paths, &uuid, &value, CST_SEAL_NEVER, NULL));
    assert_int_equal(utime(path, &times), 0);
}

/* --- before the switch ------------------------------------------------------------------------ */

/* The cluster still has the new key, so both values are on the disk. */
static void assert_both_before_taking_back(gpointer fixture)
{
    assert_values(fixture, OLD, NEW);
    assert_cluster_has(NEW);
}

static void assert_both_after_taking_back(gpointer fixture)
{
    assert_values(fixture, OLD, NEW);
    assert_cluster_has(OLD);
}

static void the_new_value_is_kept_until_the_cluster_has_the_old_one(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = define_pool(f);
    g_autoptr(GError) error = NULL;

    point_run("secret.rotate.take_back", assert_both_before_taking_back, f);
    point_run("secret.rotate.taken_back", assert_both_after_taking_back, f);
    /*
     * Logins: the administrator's check, the verification of the present value, the change, and the
     * verification of the new value.
     */
    fake_ceph_fail("rados_connect", 3, 1, -ETIMEDOUT);
    assert_false(rotate(f, &error));
    assert_error(&error, CST_ERROR_UNREACHABLE);
    assert_values(f, OLD, NULL);
    assert_cluster_has(OLD);
    points_clear();
    assert_true(rotate(f, NULL));
    assert_values(f, NEW, NULL);
}

/* A change without an answer may still arrive after the old key was restored. */
static void the_new_value_is_kept_while_its_change_may_come(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = define_pool(f);
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&pool, cst_pool_unref);
    fixture_restart(f, CST_SERVICE_EMBEDDED); /* has no recovery thread */
    point_watch("secret.rotate.take_back");
    fake_ceph_fail("rados_connect", 2, 1, -ETIMEDOUT);
    assert_false(rotate(f, &error));
    assert_error(&error, CST_ERROR_UNREACHABLE);
    assert_values(f, OLD, NEW);
    assert_cluster_has(OLD);
    points_clear();
}

static void new_value_that_cannot_be_saved_is_not_used(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = define_pool(f);
    g_autoptr(GError) error = NULL;

    point_run("secret.rotate.before_save", break_disk, f->paths->secret_dir);
    assert_false(rotate(f, &error));
    assert_error(&error, CST_ERROR_IO);
    unsyncable = NULL;
    assert_cluster_has(OLD);
    points_clear();
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
}

/* --- the switch ------------------------------------------------------------------------------- */

/* The rename has happened, so the disk has no old value to restore on the cluster. */
static void a_switch_that_is_not_synced_is_not_undone(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = define_pool(f);
    g_autoptr(GError) error = NULL;

    point_run("secret.next.before_switch", break_disk, f->paths->secret_dir);
    rotate(f, &error);
    assert_no_error(error);
    unsyncable = NULL;
    assert_values(f, NEW, NULL);
    assert_cluster_has(NEW);
    points_clear();
    assert_true(cst_pool_start(pool, 0, NULL, NULL));
}

static void count_event(const CstEvent *event, gpointer count)
{
    *(guint *)count += event->type == CST_EVENT_SECRET_VALUE;
}

static void recovered_rotation_that_is_not_synced_is_reported_to_clients(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = define_pool(f);
    g_autoptr(GError) error = NULL;
    guint events = 0, id;

    leave_two(f, 60);
    fake_ceph_require("u", NEW);
    id = cst_service_subscribe(f->service, count_event, &events);
    point_run("secret.next.before_switch", break_disk, f->paths->secret_dir);
    cst_pool_start(pool, 0, NULL, &error);
    assert_no_error(error);
    unsyncable = NULL;
    cst_service_unsubscribe(f->service, id);
    assert_int_equal(events, 1);
    assert_values(f, NEW, NULL);
    points_clear();
}

/*
 * The connection with the old value is closed. The pool logs in again when it needs a connection.
 */
static void recovered_rotation_renews_active_pools(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) active = define_pool(f), starting = define_pool_as(f, "b");
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_start(active, 0, NULL, NULL));
    fake_ceph_await_clients(1);
    leave_two(f, 60);
    fake_ceph_require("u", NEW);
    cst_pool_start(starting, 0, NULL, &error);
    assert_no_error(error);
    assert_values(f, NEW, NULL);
    fake_ceph_await_clients(1);
    assert_true(cst_pool_refresh(active, 0, NULL, NULL));
    fake_ceph_await_clients(2);
}

/* The silent pool may still use the present value. */
static void rotation_is_not_recovered_while_an_active_pool_does_not_answer(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) active = define_pool_as(f, "b"), starting = define_pool(f);
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_start(active, 0, NULL, NULL));
    leave_two(f, 60);
    fake_ceph_require("u", NEW);
    silent = "b";
    assert_false(cst_pool_start(starting, 0, NULL, &error));
    assert_error(&error, CST_ERROR_DENIED);
    assert_values(f, OLD, NEW);
    silent = NULL;
    assert_true(cst_pool_start(starting, 0, NULL, NULL));
    assert_values(f, NEW, NULL);
}

/* --- the recovery thread ---------------------------------------------------------------------- */

/*
 * A rotation leaves both values and wakes the thread, which has just tried and does not sleep yet.
 */
static void a_wake_between_a_try_and_the_sleep_is_not_lost(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GError) error = NULL;

    cst_pool_unref(define_pool(f));
    leave_two(f, 60);
    point_hold("secret.settler.tried");
    point_watch("secret.settler.idle");
    fixture_restart(f, CST_SERVICE_DAEMON);
    point_await("secret.settler.tried", 1);
    assert_values(f, OLD, NULL);
    fake_ceph_fail("rados_connect", 2, 1, -ETIMEDOUT);
    assert_false(rotate(f, &error));
    assert_error(&error, CST_ERROR_UNREACHABLE);
    leave_two(f, 60); /* no change of the cluster is pending */
    point_release("secret.settler.tried");
    point_await("secret.settler.idle", 1);
    assert_values(f, OLD, NULL);
    points_clear();
}

static void a_service_stops_while_its_thread_has_just_tried(void **state)
{
    Fixture *f = *state;

    cst_pool_unref(define_pool(f));
    leave_two(f, 60);
    point_hold("secret.settler.tried");
    fixture_restart(f, CST_SERVICE_DAEMON);
    point_await("secret.settler.tried", 1);
    point_release("secret.settler.tried");
    fixture_restart(f, CST_SERVICE_DAEMON);
    points_clear();
}

static gpointer start_pool(gpointer pool)
{
    GError *error = NULL;

    cst_pool_start(pool, 0, NULL, &error);
    return error;
}

/* The cluster refuses the pool's present value while another program rotates it. */
static void a_start_waits_for_a_rotation_that_is_under_way(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = define_pool(f);
    int lock = cst_rotation_lock(f->paths, &uuid, NULL);
    GThread *thread;
    GError *error;

    leave_two(f, 60);
    fake_ceph_require("u", NEW);
    point_watch("secret.start.wait");
    thread = g_thread_new("start", start_pool, pool);
    point_await("secret.start.wait", 2);
    assert_false(cst_pool_is_active(pool));
    assert_values(f, OLD, NEW);
    cst_rotation_unlock(f->paths, &uuid, lock);
    error = g_thread_join(thread);
    assert_no_error(error);
    assert_true(cst_pool_is_active(pool));
    assert_values(f, NEW, NULL);
    points_clear();
}

/* --- definitions ------------------------------------------------------------------------------ */

/* At this point the files are written and the table is unchanged. */
static void assert_files_before_table(gpointer fixture)
{
    Fixture *f = fixture;
    g_autofree char *xml = g_strconcat(f->paths->secret_dir, "/", SECRET, ".xml", NULL);
    g_autofree char *value = g_strconcat(f->paths->secret_dir, "/", SECRET, ".base64", NULL);

    assert_int_equal(access(xml, F_OK), 0);
    assert_int_equal(access(value, F_OK), 0);
}

static CstSecretRow *define_ephemeral(Fixture *f, const char *ephemeral, GError **error)
{
    g_autofree char *xml = g_strdup_printf("<secret ephemeral='%s'><uuid>" SECRET "</uuid>"
                                           "<usage type='ceph'><name>s</name></usage></secret>",
                                           ephemeral);

    return cst_service_secret_define(f->service, xml, 0, error);
}

static void assert_value(Fixture *f)
{
    g_auto(CstSecretBytes) value = {0}, wanted = {0};

    assert_true(cst_secret_bytes_from_base64(&wanted, OLD, strlen(OLD), NULL));
    assert_true(cst_service_secret_get_value(f->service, &uuid, 0, NULL, &value, NULL));
    assert_int_equal(value.len, wanted.len);
    assert_memory_equal(value.data, wanted.data, wanted.len);
}

static void a_value_follows_its_definition_to_the_disk_and_back(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;
    g_autofree char *value = g_strconcat(f->paths->secret_dir, "/", SECRET, ".base64", NULL);

    cst_secret_row_free(define_ephemeral(f, "yes", &error));
    assert_no_error(error);
    assert_int_equal(access(value, F_OK), -1);
    assert_value(f);
    /* If the definition cannot be written, the ephemeral secret keeps its value. */
    unsyncable = f->paths->secret_dir;
    assert_null(define_ephemeral(f, "no", &error));
    unsyncable = NULL;
    assert_error(&error, CST_ERROR_IO);
    assert_value(f);
    point_run("secret.define.stored", assert_files_before_table, f);
    cst_secret_row_free(define_ephemeral(f, "no", &error));
    assert_no_error(error);
    assert_value(f);
    points_clear();
    fixture_restart(f, CST_SERVICE_DAEMON);
    assert_value(f);
}

#define undo_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        undo_test(the_new_value_is_kept_until_the_cluster_has_the_old_one),
        undo_test(the_new_value_is_kept_while_its_change_may_come),
        undo_test(new_value_that_cannot_be_saved_is_not_used),
        undo_test(a_switch_that_is_not_synced_is_not_undone),
        undo_test(recovered_rotation_that_is_not_synced_is_reported_to_clients),
        undo_test(recovered_rotation_renews_active_pools),
        undo_test(rotation_is_not_recovered_while_an_active_pool_does_not_answer),
        undo_test(a_wake_between_a_try_and_the_sleep_is_not_lost),
        undo_test(a_service_stops_while_its_thread_has_just_tried),
        undo_test(a_start_waits_for_a_rotation_that_is_under_way),
        undo_test(a_value_follows_its_definition_to_the_disk_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
