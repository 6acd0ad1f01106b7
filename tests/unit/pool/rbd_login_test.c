/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rbd_site.h"

#include <errno.h>
#include <string.h>

#include "rbd/rbd.h"

/* Logins: verified, renewed, and changed by an administrator. */

#define OLD   "AQB6+iFpb1mmLRAAThcBt9Lqh1xF0Fvu7QkrYg=="
#define NEW   "AQBbbCJpAAAAABAA0JR5RL1bF0jJkqY1b5CPaQ=="
#define ADMIN "AQC7bCJpAAAAABAAiLhZ0nXrqVjP2mV1t0cXPQ=="

static const char *lent; /* the present value, in base64 */
static GMutex lent_lock;

static gboolean lend(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data, GError **error)
{
    gboolean done;

    g_mutex_lock(&lent_lock);
    done = cst_secret_bytes_from_base64(ret_value, lent, strlen(lent), error);
    g_mutex_unlock(&lent_lock);
    return done;
}

static void set_lent(const char *value)
{
    g_mutex_lock(&lent_lock);
    lent = value;
    g_mutex_unlock(&lent_lock);
}

static const CstPoolHost host = {.secret = lend};

static int set_up(void **state)
{
    fake_ceph_reset();
    fake_ceph_require("u", OLD);
    fake_ceph_require_admin(ADMIN);
    set_lent(OLD);
    return 0;
}

static int tear_down(void **state)
{
    fake_ceph_resume();
    ceph_await_quiet();
    fake_ceph_await_clients(0);
    return 0;
}

static CstPoolState *open_as(const char *user)
{
    g_autofree char *xml = g_strdup_printf(
        "<pool type='rbd'><name>p</name><source><host name='fake'/><name>libvirt</name>"
        "<auth type='ceph' username='%s'><secret usage='s'/></auth></source></pool>",
        user);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    CstPoolState *state;

    assert_non_null(def);
    state = cst_pool_state_open(def, &host, NULL);
    assert_non_null(state);
    return state;
}

static void read_key(const char *base64, CstSecretBytes *ret_key)
{
    assert_true(cst_secret_bytes_from_base64(ret_key, base64, strlen(base64), NULL));
}

/* --- verification ----------------------------------------------------------------------------- */

static void a_proof_is_a_login_of_its_own(void **unused)
{
    g_autoptr(CstPoolState) state = open_as("u");
    g_autoptr(CstPoolState) candidate = open_as("u");
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_state_start(state, NULL));
    assert_true(cst_pool_state_prove(candidate, NULL));
    fake_ceph_await_clients(1);
    set_lent(NEW);
    assert_false(cst_pool_state_prove(candidate, &error));
    assert_code(error, CST_ERROR_DENIED);
    fake_ceph_await_clients(1);
    g_clear_error(&error);
    fake_ceph_fail("rados_connect", 0, 1, -ETIMEDOUT);
    assert_false(cst_pool_state_prove(candidate, &error));
    assert_code(error, CST_ERROR_UNREACHABLE);
}

static void a_pool_logs_in_anew_once_its_value_has_changed(void **unused)
{
    g_autoptr(CstPoolState) state = open_as("u");
    RbdConn *under_way = cst_rbd_conn_get((RbdState *)state, NULL);
    g_autoptr(RbdConn) next = NULL;

    fake_ceph_require("u", NEW);
    set_lent(NEW);
    assert_true(cst_pool_state_renew(state, NULL));
    next = cst_rbd_conn_get((RbdState *)state, NULL);
    assert_non_null(next);
    assert_ptr_not_equal(next, under_way);
    /* A running operation keeps its connection until it ends. */
    fake_ceph_await_clients(2);
    cst_rbd_conn_unref(under_way);
    fake_ceph_await_clients(1);
}

static gpointer start(gpointer state)
{
    return GINT_TO_POINTER(cst_pool_state_start(state, NULL));
}

/* The thread has read the old value, and connects while the value is replaced. */
static void a_connection_in_the_making_is_not_kept(void **unused)
{
    g_autoptr(CstPoolState) state = open_as("u");
    GThread *thread;

    fake_ceph_hang("rados_connect");
    thread = g_thread_new("start", start, state);
    fake_ceph_wait_hanging("rados_connect", 1);
    set_lent(NEW);
    fake_ceph_require("u", NEW);
    assert_true(cst_pool_state_renew(state, NULL));
    fake_ceph_resume();
    assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
    assert_string_equal(fake_ceph_option("key"), NEW);
    assert_int_equal(fake_ceph_calls("rados_connect"), 2);
}

/* --- the administrator ------------------------------------------------------------------------ */

static char *change(const char *pool_user, const char *admin, const char *admin_key,
                    const char *value, GError **error)
{
    g_autoptr(CstPoolState) state = open_as(pool_user);
    g_auto(CstSecretBytes) key = {0}, bytes = {0};
    const CstLoginAdmin who = {admin, &key};
    char *account = NULL;

    read_key(admin_key, &key);
    if (value)
        read_key(value, &bytes);
    return cst_pool_state_set_credential(state, &who, value ? &bytes : NULL, &account, error)
               ? account
               : NULL;
}

static void administrator_changes_only_the_key(void **unused)
{
    g_autofree char *looked = change("u", "admin", ADMIN, NULL, NULL);
    g_autofree char *before = fake_ceph_keyring();
    g_autofree char *changed = NULL, *after = NULL;

    assert_string_equal(looked, "client.u@11111111-2222-3333-4444-555555555555");
    assert_int_equal(fake_ceph_calls("rados_mon_command"), 1);
    changed = change("u", "admin", ADMIN, NEW, NULL);
    assert_string_equal(changed, looked);
    after = fake_ceph_keyring();
    assert_non_null(strstr(after, "key = " NEW "\n"));
    /* The user's capabilities are unchanged. */
    assert_string_equal(strstr(before, "\tcaps"), strstr(after, "\tcaps"));
    assert_int_equal(fake_ceph_calls("rados_mon_command"), 3);
    /* A repetition makes no change. */
    g_free(changed);
    changed = change("u", "admin", ADMIN, NEW, NULL);
    assert_int_equal(fake_ceph_calls("rados_mon_command"), 4);
    assert_int_equal(fake_ceph_calls("rados_ioctx_create"), 0);
}

static void user_without_admin_rights_makes_no_change(void **unused)
{
    static const struct {
        const char *user, *admin, *key, *value;
        int code;
    } cases[] = {
        {"u", "admin", OLD, NEW, CST_ERROR_DENIED}, /* a wrong key */
        {"u", "u", OLD, NEW, CST_ERROR_DENIED},     /* no administrator */
        {"other", "admin", ADMIN, NEW, CST_ERROR_NOT_FOUND},
        {"u\"", "admin", ADMIN, NEW, CST_ERROR_INVALID}, /* would end the JSON string */
        {"u", "admin]", ADMIN, NEW, CST_ERROR_INVALID},
    };
    g_autofree char *before = fake_ceph_keyring();
    g_autofree char *after = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(change(cases[i].user, cases[i].admin, cases[i].key, cases[i].value, &error));
        assert_code(error, cases[i].code);
    }
    after = fake_ceph_keyring();
    assert_string_equal(before, after);
}

static void each_step_of_a_change_may_fail(void **unused)
{
    static const struct {
        const char *function;
        guint skip;
        int result, code;
    } cases[] = {
        {"rados_create", 0, -EINVAL, CST_ERROR_IO},
        {"rados_connect", 0, -ETIMEDOUT, CST_ERROR_UNREACHABLE},
        {"rados_cluster_fsid", 0, -EIO, CST_ERROR_IO},
        {"rados_mon_command", 0, -ETIMEDOUT, CST_ERROR_UNREACHABLE},
        {"rados_mon_command", 1, -EIO, CST_ERROR_IO},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        fake_ceph_fail(cases[i].function, cases[i].skip, 1, cases[i].result);
        assert_null(change("u", "admin", ADMIN, NEW, &error));
        assert_code(error, cases[i].code);
    }
}

#define login_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        login_test(a_proof_is_a_login_of_its_own),
        login_test(a_pool_logs_in_anew_once_its_value_has_changed),
        login_test(a_connection_in_the_making_is_not_kept),
        login_test(administrator_changes_only_the_key),
        login_test(user_without_admin_rights_makes_no_change),
        login_test(each_step_of_a_change_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
