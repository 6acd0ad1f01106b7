/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rotations of a secret of RBD pools, with a simulated Ceph cluster. */
#include "fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utime.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <service/pools.h>
#include <store/secret_values.h>

#include "fake_ceph.h"
#include "points.h"

#define SECRET "aaaaaaaa-0000-0000-0000-000000000001"
#define CHAP   "aaaaaaaa-0000-0000-0000-000000000002"
#define OLD    "AQB6+iFpb1mmLRAAThcBt9Lqh1xF0Fvu7QkrYg=="
#define NEW    "AQBbbCJpAAAAABAA0JR5RL1bF0jJkqY1b5CPaQ=="
#define THIRD  "AQDLbCJpAAAAABAAo0v6wE0QmU6bYw8m2E6S0g=="
#define ADMIN  "AQC7bCJpAAAAABAAiLhZ0nXrqVjP2mV1t0cXPQ=="

static CstUuid uuid_of(const char *text)
{
    CstUuid uuid;

    assert_true(cst_uuid_parse(text, &uuid));
    return uuid;
}

static void define_secret(Fixture *f, const char *uuid, const char *usage, gboolean ephemeral)
{
    g_autofree char *xml = g_strdup_printf(
        "<secret ephemeral='%s' private='yes'><uuid>%s</uuid><usage type='%s'>%s</usage></secret>",
        ephemeral ? "yes" : "no", uuid, usage,
        strcmp(usage, "iscsi") == 0 ? "<target>t</target>" : "<name>s</name>");
    g_autoptr(GError) error = NULL;

    cst_secret_row_free(cst_service_secret_define(f->service, xml, 0, &error));
    assert_no_error(error);
}

static gboolean set_value(Fixture *f, const char *of, const char *base64, GError **error)
{
    g_auto(CstSecretBytes) value = {0};
    CstUuid uuid = uuid_of(of);

    assert_true(cst_secret_bytes_from_base64(&value, base64, strlen(base64), NULL));
    return cst_service_secret_set_value(f->service, &uuid, value.data, value.len, 0, error);
}

static CstPool *define_pool(Fixture *f, const char *name, const char *user)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='rbd'><name>%s</name><source><host name='fake'/><name>libvirt</name>"
        "<auth type='ceph' username='%s'><secret uuid='" SECRET "'/></auth></source></pool>",
        name, user);
    g_autoptr(GError) error = NULL;
    CstPool *pool = cst_service_pool_define(f->service, xml, 0, &error);

    assert_no_error(error);
    return pool;
}

static int set_up(void **state)
{
    Fixture *f;

    fake_ceph_reset();
    fake_ceph_require("u", OLD);
    fake_ceph_require_admin(ADMIN);
    if (fixture_setup(state) != 0)
        return -1;
    f = *state;
    fixture_restart(f, CST_SERVICE_DAEMON);
    define_secret(f, SECRET, "ceph", FALSE);
    return set_value(f, SECRET, OLD, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    fake_ceph_resume();
    cst_dry_run_set(FALSE);
    return fixture_teardown(state);
}

/* --- requests --------------------------------------------------------------------------------- */

typedef struct {
    const char *value; /* base64 */
    gboolean admin;
    unsigned flags;
    guint wait_s;
} How;

static gboolean rotate(Fixture *f, const char *of, const How *how, GPtrArray **ret_pools,
                       GError **error)
{
    g_auto(CstSecretBytes) value = {0}, key = {0};
    CstSecretRotate args = {.uuid = uuid_of(of),
                            .value = &value,
                            .flags = how->flags,
                            .wait_s = how->wait_s,
                            .admin_user = how->admin ? "admin" : NULL,
                            .admin_key = &key};

    assert_true(cst_secret_bytes_from_base64(&value, how->value, strlen(how->value), NULL));
    assert_true(cst_secret_bytes_from_base64(&key, ADMIN, strlen(ADMIN), NULL));
    return cst_service_secret_rotate(f->service, &args, NULL, ret_pools, error);
}

static void assert_rotated(Fixture *f, const How *how, const char *pools)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    rotate(f, SECRET, how, &names, &error);
    assert_no_error(error);
    g_ptr_array_add(names, NULL);
    text = g_strjoinv(" ", (char **)names->pdata);
    assert_string_equal(text, pools);
}

static void assert_refused(Fixture *f, const char *of, const How *how, int code, const char *words)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GError) error = NULL;

    assert_false(rotate(f, of, how, &names, &error));
    assert_null(names);
    if (!strstr(error->message, words))
        fail_msg("'%s' is not in '%s'", words, error->message);
    assert_error(&error, code);
}

static char *read_back(Fixture *f, gboolean next)
{
    g_auto(CstSecretBytes) value = {0}, text = {0};
    CstUuid uuid = uuid_of(SECRET);

    assert_true(next ? cst_secret_next_load(f->paths, &uuid, &value, NULL)
                     : cst_secret_value_load(f->paths, &uuid, &value, NULL));
    if (!value.data)
        return NULL;
    assert_true(cst_secret_bytes_to_base64(&text, &value, NULL));
    return g_strdup((const char *)text.data);
}

/* @next NULL: no pending value. */
static void assert_values(Fixture *f, const char *now, const char *next)
{
    g_autofree char *present = read_back(f, FALSE);
    g_autofree char *pending = read_back(f, TRUE);

    assert_string_equal(present, now);
    if (next)
        assert_string_equal(pending, next);
    else
        assert_null(pending);
}

static void assert_cluster_has(const char *key)
{
    g_autofree char *keyring = fake_ceph_keyring();

    assert_non_null(strstr(keyring, key));
}

static gboolean start(CstPool *pool, GError **error)
{
    return cst_pool_start(pool, 0, NULL, error);
}

/* --- rotations -------------------------------------------------------------------------------- */

static void value_that_all_pools_accept_replaces_the_old_one(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");
    g_autoptr(CstPool) b = define_pool(f, "b", "u");
    guint before;

    assert_true(start(a, NULL));
    fake_ceph_require("u", NEW);
    before = fake_ceph_calls("rados_connect");
    assert_rotated(f, &(How){.value = NEW}, "a b");
    assert_values(f, NEW, NULL);
    /*
     * Both values were verified, and these connections are closed. 'a' connects when it needs to.
     */
    assert_int_equal(fake_ceph_calls("rados_connect") - before, 2);
    fake_ceph_await_clients(0);
    assert_true(cst_pool_refresh(a, 0, NULL, NULL));
    assert_true(start(b, NULL));
}

static void value_that_one_pool_refuses_is_not_stored(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");
    g_autoptr(CstPool) b = define_pool(f, "b", "somebody");

    assert_true(start(a, NULL));
    fake_ceph_require("u", NEW);
    assert_refused(f, SECRET, &(How){.value = NEW}, CST_ERROR_DENIED,
                   "pool 'b': the Ceph cluster refused user 'somebody'");
    assert_values(f, OLD, NULL);
    assert_rotated(f, &(How){.value = NEW, .flags = CST_SECRET_ROTATE_ACTIVE}, "a");
    assert_values(f, NEW, NULL);
}

static void secret_that_cannot_be_rotated_is_refused_by_name(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = NULL;

    assert_refused(f, SECRET, &(How){.value = NEW}, CST_ERROR_STATE, "see secret-set-value");
    define_secret(f, CHAP, "tls", FALSE);
    assert_refused(f, CHAP, &(How){.value = NEW}, CST_ERROR_UNSUPPORTED, "usage 'tls'");
    assert_refused(f, "bbbbbbbb-0000-0000-0000-000000000001", &(How){.value = NEW},
                   CST_ERROR_NO_SECRET, "no secret with matching uuid");
    pool = define_pool(f, "a", "u");
    assert_refused(f, SECRET, &(How){.value = NEW, .flags = CST_SECRET_ROTATE_ACTIVE},
                   CST_ERROR_STATE, "no active pool");
    assert_refused(f, SECRET, &(How){.value = OLD}, CST_ERROR_INVALID, "is the present one");
    assert_refused(f, SECRET, &(How){.value = "bm8ga2V5"}, CST_ERROR_INVALID, "not a cephx key");
    assert_refused(f, SECRET, &(How){.value = ""}, CST_ERROR_USAGE, "must not be NULL");
    assert_refused(f, SECRET, &(How){.value = NEW, .flags = 2}, CST_ERROR_FLAGS, "");
    assert_int_equal(fake_ceph_calls("rados_connect"), 0);
}

static void an_administrator_changes_the_cluster_too(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");

    assert_rotated(f, &(How){.value = NEW, .admin = TRUE}, "a");
    assert_values(f, NEW, NULL);
    assert_cluster_has(NEW);
    assert_true(start(a, NULL));
}

static void old_key_that_still_works_is_reported(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");

    fake_ceph_keep_old_keys(TRUE);
    assert_refused(f, SECRET, &(How){.value = NEW, .admin = TRUE}, CST_ERROR_FAILED,
                   "the server still accepts the old one");
    assert_values(f, NEW, NULL);
}

/* The new key is on the cluster when the verification fails. */
static void a_failed_proof_puts_the_old_key_back(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");

    /*
     * Logins: the administrator's check, the verification of the present value, the change, and the
     * verification of the new value.
     */
    fake_ceph_fail("rados_connect", 3, 1, -ETIMEDOUT);
    assert_refused(f, SECRET, &(How){.value = NEW, .admin = TRUE}, CST_ERROR_UNREACHABLE,
                   "pool 'a': cannot reach the Ceph monitors");
    assert_values(f, OLD, NULL);
    assert_cluster_has(OLD);
}

static void a_key_that_cannot_be_put_back_is_kept_with_the_old_one(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");

    point_watch("secret.settler.idle");
    fake_ceph_fail("rados_connect", 3, 3, -ETIMEDOUT);
    assert_refused(f, SECRET, &(How){.value = NEW, .admin = TRUE}, CST_ERROR_UNREACHABLE,
                   "both are kept until one of them is accepted: ");
    assert_cluster_has(NEW);
    /* The cluster is back, and the daemon finds out which key it accepts. */
    point_await("secret.settler.idle", 1);
    assert_values(f, NEW, NULL);
    assert_true(start(a, NULL));
    points_clear();
}

static void users_of_one_secret_with_two_accounts_are_refused(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");
    g_autoptr(CstPool) b = define_pool(f, "b", "v");

    /* This cluster has no user "v". */
    assert_refused(f, SECRET, &(How){.value = NEW, .admin = TRUE}, CST_ERROR_NOT_FOUND,
                   "pool 'b': ");
    assert_values(f, OLD, NULL);
    assert_cluster_has(OLD);
}

static void rotation_dry_run_verifies_the_present_value(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");

    cst_dry_run_set(TRUE);
    assert_refused(f, SECRET, &(How){.value = NEW, .admin = TRUE}, CST_ERROR_DRY_RUN, "");
    assert_int_equal(fake_ceph_calls("rados_connect"), 2);
    fake_ceph_require("u", THIRD);
    assert_refused(f, SECRET, &(How){.value = NEW}, CST_ERROR_DENIED,
                   "the present value is not accepted everywhere");
    cst_dry_run_set(FALSE);
    assert_values(f, OLD, NULL);
    assert_cluster_has(THIRD);
}

static void an_ephemeral_value_is_rotated_in_memory(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");
    CstUuid uuid = uuid_of(SECRET);

    define_secret(f, SECRET, "ceph", TRUE);
    assert_rotated(f, &(How){.value = NEW, .admin = TRUE}, "a");
    assert_false(cst_secret_next_exists(f->paths, &uuid));
    assert_true(start(a, NULL));
    /* A refused value leaves the present one. */
    assert_refused(f, SECRET, &(How){.value = THIRD}, CST_ERROR_DENIED, "pool 'a'");
    assert_true(cst_pool_stop(a, NULL, NULL));
    assert_true(start(a, NULL));
}

/* --- concurrency ------------------------------------------------------------------------------ */

typedef struct {
    Fixture *f;
    How how;
    gboolean done;
    GError *error;
    GThread *thread;
} Other;

static gpointer run_other(gpointer data)
{
    Other *other = data;
    g_autoptr(GPtrArray) pools = NULL;

    other->done = rotate(other->f, SECRET, &other->how, &pools, &other->error);
    return NULL;
}

static void begin_other(Other *other)
{
    fake_ceph_hang("rados_connect");
    other->thread = g_thread_new("other", run_other, other);
    fake_ceph_wait_hanging("rados_connect", 1);
}

static void running_rotation_is_reported_to_other_users(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");
    Other other = {.f = f, .how = {.value = NEW}};
    g_autoptr(GError) error = NULL;
    CstUuid uuid = uuid_of(SECRET);

    fake_ceph_require("u", NEW);
    begin_other(&other);
    assert_refused(f, SECRET, &(How){.value = THIRD}, CST_ERROR_BUSY, "is being rotated");
    assert_false(set_value(f, SECRET, THIRD, &error));
    assert_error(&error, CST_ERROR_BUSY);
    assert_false(cst_service_secret_undefine(f->service, &uuid, &error));
    assert_error(&error, CST_ERROR_BUSY);
    fake_ceph_resume();
    g_thread_join(other.thread);
    assert_no_error(other.error);
    assert_values(f, NEW, NULL);
    assert_true(set_value(f, SECRET, THIRD, NULL));
}

/* Another program that does not know rotations changes the value. */
static void value_changed_during_a_rotation_is_kept(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");
    Other other = {.f = f, .how = {.value = NEW}};
    g_auto(CstSecretBytes) third = {0};
    CstUuid uuid = uuid_of(SECRET);

    fake_ceph_require("u", NEW);
    begin_other(&other);
    assert_true(cst_secret_bytes_from_base64(&third, THIRD, strlen(THIRD), NULL));
    assert_true(cst_secret_value_save(f->paths, &uuid, &third, CST_SEAL_NEVER, NULL));
    fake_ceph_resume();
    g_thread_join(other.thread);
    assert_non_null(strstr(other.error->message, "was changed during its rotation"));
    assert_error(&other.error, CST_ERROR_STATE);
    assert_values(f, THIRD, NULL);
}

static void pool_defined_during_a_rotation_is_verified(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");
    g_autoptr(CstPool) b = NULL;
    Other other = {.f = f, .how = {.value = NEW}};

    fake_ceph_require("u", NEW);
    begin_other(&other);
    b = define_pool(f, "b", "somebody");
    fake_ceph_resume();
    g_thread_join(other.thread);
    assert_non_null(strstr(other.error->message, "pool 'b': "));
    assert_error(&other.error, CST_ERROR_DENIED);
    assert_values(f, OLD, NULL);
}

static gpointer start_pool(gpointer pool)
{
    return GINT_TO_POINTER(start(pool, NULL));
}

/* The pool has read the old value, and becomes active after the switch. */
static void pool_started_during_a_rotation_uses_the_new_value(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) a = define_pool(f, "a", "u");
    GThread *thread;

    fake_ceph_hang("rbd_list2");
    thread = g_thread_new("start", start_pool, a);
    fake_ceph_wait_hanging("rbd_list2", 1);
    assert_rotated(f, &(How){.value = NEW, .admin = TRUE}, "a");
    fake_ceph_resume();
    assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
    assert_true(cst_pool_refresh(a, 0, NULL, NULL));
    assert_string_equal(fake_ceph_option("key"), NEW);
}

/* --- after a kill ----------------------------------------------------------------------------- */

/* Leaves the state of a program that is killed between the first step and the switch. */
static void leave_two(Fixture *f, const char *next, gint64 age_s)
{
    g_auto(CstSecretBytes) value = {0};
    CstUuid uuid = uuid_of(SECRET);
    g_autofree char *path = g_strconcat(f->paths->secret_dir, "/", SECRET, ".next-base64", NULL);
    struct utimbuf times = {time(NULL) - age_s, time(NULL) - age_s};

    assert_true(cst_secret_bytes_from_base64(&value, next, strlen(next), NULL));
    assert_true(cst_secret_next_save(f->paths, &uuid, &value, CST_SEAL_NEVER, NULL));
    assert_int_equal(utime(path, &times), 0);
}

static void next_daemon_decides_which_value_counts(void **state)
{
    static const struct {
        const char *cluster, *left;
    } cases[] = {{OLD, OLD}, {NEW, NEW}};
    Fixture *f = *state;
    CstPool *pool = define_pool(f, "a", "u");

    cst_pool_unref(pool);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        leave_two(f, NEW, 60);
        fake_ceph_require("u", cases[i].cluster);
        point_watch("secret.settler.idle");
        fixture_restart(f, CST_SERVICE_DAEMON);
        point_await("secret.settler.idle", 1);
        assert_values(f, cases[i].left, NULL);
    }
    points_clear();
}

static void both_values_are_kept_while_the_server_does_not_answer(void **state)
{
    Fixture *f = *state;
    CstPool *pool = define_pool(f, "a", "u");

    assert_true(start(pool, NULL));
    cst_pool_unref(pool);
    leave_two(f, NEW, 60);
    /*
     * At first the cluster accepts neither value, then it does not answer. The pool itself can
     * still try to start.
     */
    fake_ceph_require("u", THIRD);
    point_watch("secret.settler.retry");
    point_watch("secret.settler.idle");
    fixture_restart(f, CST_SERVICE_DAEMON);
    point_await("secret.settler.retry", 1);
    assert_values(f, OLD, NEW);
    fake_ceph_fail("rados_connect", 0, 3, -ETIMEDOUT);
    fake_ceph_require("u", NEW);
    point_await("secret.settler.idle", 1);
    assert_values(f, NEW, NULL);
    points_clear();
}

/* A change of the cluster that began before the kill may still arrive. */
static void a_new_value_is_not_dropped_at_once(void **state)
{
    Fixture *f = *state;
    g_autoptr(CstPool) pool = define_pool(f, "a", "u");

    leave_two(f, NEW, 0);
    assert_refused(f, SECRET, &(How){.value = THIRD}, CST_ERROR_BUSY, "a moment ago");
    assert_values(f, OLD, NEW);
    leave_two(f, NEW, 60);
    assert_refused(f, SECRET, &(How){.value = THIRD}, CST_ERROR_DENIED, "pool 'a'");
    assert_values(f, OLD, NULL);
}

static void a_pool_that_starts_finds_the_value_that_counts(void **state)
{
    Fixture *f = *state;
    CstPool *pool;

    cst_pool_unref(define_pool(f, "a", "u"));
    fixture_restart(f, CST_SERVICE_EMBEDDED);
    leave_two(f, NEW, 0);
    pool = cst_service_pool_by_name(f->service, "a", NULL);
    /* The old value is accepted, so the decision is still open. */
    assert_true(start(pool, NULL));
    assert_values(f, OLD, NEW);
    assert_true(cst_pool_stop(pool, NULL, NULL));
    fake_ceph_require("u", NEW);
    assert_true(start(pool, NULL));
    assert_values(f, NEW, NULL);
    cst_pool_unref(pool);
}

static void a_value_that_is_set_ends_an_old_rotation(void **state)
{
    Fixture *f = *state;
    CstUuid uuid = uuid_of(SECRET);

    leave_two(f, NEW, 60);
    assert_true(set_value(f, SECRET, THIRD, NULL));
    assert_values(f, THIRD, NULL);
    leave_two(f, NEW, 60);
    assert_true(cst_service_secret_undefine(f->service, &uuid, NULL));
    assert_false(cst_secret_next_exists(f->paths, &uuid));
}

#define rotate_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        rotate_test(value_that_all_pools_accept_replaces_the_old_one),
        rotate_test(value_that_one_pool_refuses_is_not_stored),
        rotate_test(secret_that_cannot_be_rotated_is_refused_by_name),
        rotate_test(an_administrator_changes_the_cluster_too),
        rotate_test(old_key_that_still_works_is_reported),
        rotate_test(a_failed_proof_puts_the_old_key_back),
        rotate_test(a_key_that_cannot_be_put_back_is_kept_with_the_old_one),
        rotate_test(users_of_one_secret_with_two_accounts_are_refused),
        rotate_test(rotation_dry_run_verifies_the_present_value),
        rotate_test(an_ephemeral_value_is_rotated_in_memory),
        rotate_test(running_rotation_is_reported_to_other_users),
        rotate_test(value_changed_during_a_rotation_is_kept),
        rotate_test(pool_defined_during_a_rotation_is_verified),
        rotate_test(pool_started_during_a_rotation_uses_the_new_value),
        rotate_test(next_daemon_decides_which_value_counts),
        rotate_test(both_values_are_kept_while_the_server_does_not_answer),
        rotate_test(a_new_value_is_not_dropped_at_once),
        rotate_test(a_pool_that_starts_finds_the_value_that_counts),
        rotate_test(a_value_that_is_set_ends_an_old_rotation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
