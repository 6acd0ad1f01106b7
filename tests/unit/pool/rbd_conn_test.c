/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rbd_site.h"

#include <errno.h>
#include <string.h>

#include "points.h"
#include "rbd/rbd.h"

/* Connections to a cluster: made, refused, shared, closed; and the details of a job. */

static int set_up(void **state)
{
    fake_ceph_reset();
    return 0;
}

/* Without a state there must be no connection either. */
static int tear_down(void **state)
{
    fake_ceph_resume();
    ceph_await_quiet();
    fake_ceph_await_clients(0);
    assert_int_equal(fake_ceph_open_pools(), 0);
    assert_true(ceph_has_left());
    return 0;
}

static gboolean ask_usage(CstPoolState *state, GError **error)
{
    CstPoolUsage usage;

    return cst_pool_state_usage(state, &usage, error);
}

/* --- making them ------------------------------------------------------------------------------ */

static void a_pool_has_one_connection_until_it_stops(void **unused)
{
    g_autoptr(CstPoolState) state = site_open("");
    gboolean active = FALSE;

    assert_true(cst_pool_state_check(state, &active, NULL));
    assert_true(active);
    fake_ceph_await_clients(0);
    assert_true(cst_pool_state_start(state, NULL));
    assert_true(ask_usage(state, NULL));
    assert_int_equal(fake_ceph_calls("rados_connect"), 1);
    assert_int_equal(fake_ceph_calls("rados_set_pool_full_try"), 1);
    fake_ceph_await_clients(1);
    assert_true(cst_pool_state_stop(state, NULL));
    ceph_await_quiet();
    fake_ceph_await_clients(0);
    assert_true(ask_usage(state, NULL));
    assert_int_equal(fake_ceph_calls("rados_connect"), 2);
}

#define OPTION(key, value) "<rbd:option name='" key "' value='" value "'/>"

static void assert_refused(CstPoolState *state, int code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_pool_state_start(state, &error));
    assert_code(error, code);
    assert_says(error, words);
    cst_pool_state_unref(state);
    ceph_await_quiet();
    fake_ceph_await_clients(0);
}

static void options_that_ceph_refuses_are_named(void **unused)
{
    assert_refused(site_open(OPTION("no_such_option", "1")), CST_ERROR_CONFIG,
                   "Ceph has no option 'no_such_option'");
    assert_refused(site_open(OPTION("rados_osd_op_timeout", "soon")), CST_ERROR_CONFIG,
                   "failed to set RADOS option: rados_osd_op_timeout=soon: Invalid argument");
}

static void each_step_of_connecting_may_fail(void **unused)
{
    static const struct {
        const char *function;
        int result, code;
        const char *words;
    } cases[] = {
        {"rados_create", -EINVAL, CST_ERROR_IO, "failed to initialize RADOS"},
        {"rados_connect", -ETIMEDOUT, CST_ERROR_UNREACHABLE,
         "cannot reach the Ceph monitors of pool 'libvirt': "},
        {"rados_connect", -EACCES, CST_ERROR_DENIED, "add <auth> to the pool"},
        {"rados_connect", -EPERM, CST_ERROR_DENIED, "add <auth> to the pool"},
        {"rados_connect", -EOPNOTSUPP, CST_ERROR_DENIED, "add <auth> to the pool"},
        {"rados_ioctx_create", -EIO, CST_ERROR_IO, "cannot use Ceph pool 'libvirt'"},
        {"rados_ioctx_create", -ENOENT, CST_ERROR_NOT_FOUND, "has no pool 'libvirt'"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        fake_ceph_fail(cases[i].function, 0, 1, cases[i].result);
        assert_refused(site_open(""), cases[i].code, cases[i].words);
    }
}

/* --- authentication --------------------------------------------------------------------------- */

/* Keys in Ceph's form: type 1, a time, 16 bytes. */
#define RIGHT_KEY "\1\0ttttnnnn\x10\0value of 16 byte"
#define WRONG_KEY "\1\0ttttnnnn\x10\0wrong, of 16 byt"
#define KEY_LEN   28

static const char *secret; /* NULL: no secret */
static size_t secret_len = KEY_LEN;

static gboolean give_secret(const CstAuth *auth, CstSecretBytes *ret_value, gpointer data,
                            GError **error)
{
    assert_ptr_equal(data, &secret);
    if (!secret)
        return cst_fail(error, CST_ERROR_NO_SECRET, "no secret '%s'", auth->username);
    return cst_secret_bytes_copy(ret_value, secret, secret_len, error);
}

static CstPoolState *open_with(const CstPoolHost *host, const char *source)
{
    g_autofree char *xml =
        g_strdup_printf("<pool type='rbd'><name>p</name><source><host name='fake'/>%s"
                        "</source></pool>",
                        source);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, NULL);
    CstPoolState *state;

    assert_non_null(def);
    state = cst_pool_state_open(def, host, NULL);
    assert_non_null(state);
    return state;
}

#define WITH_AUTH "<name>libvirt</name><auth type='ceph' username='u'><secret usage='s'/></auth>"

static void the_secret_of_a_pool_opens_the_cluster(void **unused)
{
    const CstPoolHost host = {.secret = give_secret, .data = &secret};
    CstPoolState *state;

    /* The base64 text of RIGHT_KEY. */
    fake_ceph_require("u", "AQB0dHR0bm5ubhAAdmFsdWUgb2YgMTYgYnl0ZQ==");
    assert_refused(open_with(&host, "<name>libvirt</name>"), CST_ERROR_DENIED, "add <auth>");
    secret = NULL;
    assert_refused(open_with(&host, WITH_AUTH), CST_ERROR_NO_SECRET, "no secret 'u'");
    assert_refused(open_with(NULL, WITH_AUTH), CST_ERROR_NO_SECRET, "no secret for Ceph user 'u'");
    secret = WRONG_KEY;
    assert_refused(open_with(&host, WITH_AUTH), CST_ERROR_DENIED,
                   "the Ceph cluster refused user 'u'");
    secret = RIGHT_KEY;
    state = open_with(&host, WITH_AUTH);
    assert_true(cst_pool_state_start(state, NULL));
    assert_string_equal(fake_ceph_option("auth_supported"), "cephx");
    cst_pool_state_unref(state);
    fake_ceph_fail("rados_conf_set", 11, 1, -EINVAL);
    assert_refused(open_with(&host, WITH_AUTH), CST_ERROR_CONFIG,
                   "failed to set RADOS option: key");
}

/* Ceph's library would write the whole value to stderr. */
static void invalid_key_is_never_sent_to_ceph(void **unused)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"value", 5},
        {"\1\0ttttnnnn\x10\0value of 15 byt", 27},
        {"\1\0ttttnnnn\x0f\0value of 15 byt", 27},
        {"\0\0ttttnnnn\x10\0value of 16 byte", KEY_LEN},
        {"\2\0ttttnnnn\x10\0value of 16 byte", KEY_LEN},
        {"\1\1ttttnnnn\x10\0value of 16 byte", KEY_LEN},
        {"\1\0ttttnnnn\x10\1value of 16 byte", KEY_LEN},
        {"\1\0ttttnnnn\x10", 11},
    };
    const CstPoolHost host = {.secret = give_secret, .data = &secret};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        secret = bad[i].bytes;
        secret_len = bad[i].len;
        assert_refused(open_with(&host, WITH_AUTH), CST_ERROR_INVALID_SECRET,
                       "the secret for Ceph user 'u' is not a Ceph key");
        assert_null(fake_ceph_option("key"));
    }
    secret_len = KEY_LEN;
}

/* --- namespaces ------------------------------------------------------------------------------- */

static void a_pool_may_be_a_namespace(void **unused)
{
    CstPoolState *state;
    g_autofree char *path = NULL;
    g_auto(GStrv) inside = NULL, outside = NULL;

    assert_refused(open_with(NULL, "<name>libvirt/ns</name>"), CST_ERROR_NOT_FOUND,
                   "Ceph pool 'libvirt' has no namespace 'ns'");
    fake_ceph_add_namespace("libvirt", "ns");
    fake_ceph_fail("rbd_namespace_exists", 0, 1, -EIO);
    assert_refused(open_with(NULL, "<name>libvirt/ns</name>"), CST_ERROR_IO,
                   "cannot use namespace 'libvirt/ns'");
    state = open_with(NULL, "<name>libvirt/ns</name>");
    assert_true(site_make(state, "v", CST_MIB, "", NULL));
    path = cst_pool_state_vol_path(state, "v");
    assert_string_equal(path, "libvirt/ns/v");
    cst_pool_state_unref(state);
    inside = fake_ceph_list("libvirt", "ns");
    outside = fake_ceph_list("libvirt", "");
    assert_string_equal(inside[0], "v");
    assert_null(outside[0]);
}

static void paths_lead_to_volumes_of_this_pool_only(void **unused)
{
    static const char *const cases[][2] = {
        {"libvirt/v", "v"},     {"libvirt/", NULL}, {"libvirt", NULL},
        {"libvirt/ns/v", NULL}, {"other/v", NULL},  {"libvirt2/v", NULL},
    };
    g_autoptr(CstPoolState) state = site_open("");

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = cst_pool_state_vol_resolve(state, cases[i][0]);

        assert_true(g_strcmp0(name, cases[i][1]) == 0);
    }
}

/* --- time-outs -------------------------------------------------------------------------------- */

static void deadline_is_longer_than_cephs_timeouts(void **unused)
{
    static const struct {
        const char *mount, *mon, *osd;
        guint deadline_ms;
    } cases[] = {
        {"30", "30", "30", 35000}, {"7", "5", "6", 12000},      {"5", "7", "6", 12000},
        {"5", "6", "7", 12000},    {"0", "5", "5", 35000},      {"40", "5", "0", 45000},
        {"0.5", "0.5", "1", 6000}, {"5", "5", "9999", 3605000}, {"3600", "1", "1", 3605000},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *config = g_strdup_printf(OPTION("client_mount_timeout", "%s")
                                                      OPTION("rados_mon_op_timeout", "%s")
                                                          OPTION("rados_osd_op_timeout", "%s"),
                                                  cases[i].mount, cases[i].mon, cases[i].osd);
        g_autoptr(CstPoolState) state = site_open(config);
        g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)state, NULL);

        assert_int_equal(conn->deadline_ms, cases[i].deadline_ms);
        assert_int_equal(conn->pool_id, 5);
        assert_true(conn->id > 0);
    }
}

static void timeout_that_ceph_does_not_report_is_ignored(void **unused)
{
    g_autoptr(CstPoolState) state = site_open(OPTION("rados_mon_op_timeout", "50"));
    RbdConn *conn;

    fake_ceph_fail("rados_conf_get", 1, 1, -ENOENT);
    conn = cst_rbd_conn_get((RbdState *)state, NULL);
    assert_int_equal(conn->deadline_ms, 35000);
    cst_rbd_conn_unref(conn);
}

/* --- sharing ---------------------------------------------------------------------------------- */

typedef struct {
    CstPoolState *state;
    gboolean done;
    GError *error;
} Asker;

static gpointer ask(gpointer data)
{
    Asker *asker = data;

    asker->done = cst_pool_state_start(asker->state, &asker->error);
    return NULL;
}

static void share_an_attempt(Asker askers[3], CstPoolState *state)
{
    GThread *threads[3];

    point_watch("rbd.conn.wait");
    fake_ceph_hang("rados_connect");
    for (int i = 0; i < 3; i++) {
        askers[i] = (Asker){.state = state};
        threads[i] = g_thread_new("ask", ask, &askers[i]);
    }
    fake_ceph_wait_hanging("rados_connect", 1);
    point_await("rbd.conn.wait", 2);
    fake_ceph_resume();
    for (int i = 0; i < 3; i++)
        g_thread_join(threads[i]);
    points_clear();
}

static void callers_during_a_connect_share_its_result(void **unused)
{
    g_autoptr(CstPoolState) state = site_open("");
    Asker askers[3];

    fake_ceph_fail("rados_connect", 0, 1, -ETIMEDOUT);
    share_an_attempt(askers, state);
    assert_int_equal(fake_ceph_calls("rados_connect"), 1);
    for (int i = 0; i < 3; i++) {
        assert_false(askers[i].done);
        assert_code(askers[i].error, CST_ERROR_UNREACHABLE);
        g_clear_error(&askers[i].error);
    }
    /* A later caller makes its own attempt. */
    share_an_attempt(askers, state);
    assert_int_equal(fake_ceph_calls("rados_connect"), 2);
    for (int i = 0; i < 3; i++) {
        assert_true(askers[i].done);
        assert_null(askers[i].error);
    }
    fake_ceph_await_clients(1);
}

/* --- lost clusters ---------------------------------------------------------------------------- */

static void blocklisted_client_connects_again(void **unused)
{
    static const struct {
        const char *function;
        int result;
        guint connections;
    } cases[] = {
        {"rbd_list2", -ESHUTDOWN, 2}, {"rbd_list2", -ETIMEDOUT, 2}, {"rbd_list2", -EIO, 1}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        CstPoolState *state = site_open("");
        g_autofree char *lines = NULL;
        guint before = fake_ceph_calls("rados_connect");

        fake_ceph_fail(cases[i].function, 0, 1, cases[i].result);
        assert_null(site_scan(state, NULL));
        lines = site_scan(state, NULL);
        assert_string_equal(lines, "");
        assert_int_equal(fake_ceph_calls("rados_connect") - before, cases[i].connections);
        cst_pool_state_unref(state);
        ceph_await_quiet();
    }
}

/* Images are accessed without the monitors, but a new connection would need them. */
static void silent_monitors_are_no_reason_to_connect_anew(void **unused)
{
    g_autoptr(CstPoolState) state = site_open("");
    g_autoptr(GError) error = NULL;

    fake_ceph_fail("rados_cluster_stat", 0, 1, -ETIMEDOUT);
    assert_false(ask_usage(state, &error));
    assert_code(error, CST_ERROR_UNREACHABLE);
    assert_says(error, "failed to stat the RADOS cluster");
    g_clear_error(&error);
    fake_ceph_fail("rados_ioctx_pool_stat", 0, 1, -EIO);
    assert_false(ask_usage(state, &error));
    assert_says(error, "failed to stat the RADOS pool 'libvirt'");
    assert_true(ask_usage(state, NULL));
    assert_int_equal(fake_ceph_calls("rados_connect"), 1);
}

/* --- jobs ------------------------------------------------------------------------------------- */

static gboolean run_nothing(RbdJob *job, GError **error)
{
    return TRUE;
}

static void progress_is_reported_as_parts_of_the_size(void **unused)
{
    static const struct {
        uint64_t done, total, told;
    } steps[] = {{0, 0, 0}, {1, 4, 250}, {1, 4, 250}, {2, 4, 500}, {1, 4, 500}, {4, 4, 1000}};
    g_autoptr(CstPoolState) state = site_open("");
    g_autoptr(RbdJob) job = cst_rbd_job_new(state, run_nothing, "v", NULL);
    g_autoptr(CstTask) task = cst_task_new();

    assert_string_equal(job->what, "volume 'v'");
    job->task = cst_task_ref(task);
    job->size = 1000;
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        job->work.last_heartbeat = 0;
        assert_int_equal(cst_rbd_job_progress(steps[i].done, steps[i].total, job), 0);
        assert_true(job->work.last_heartbeat > 0);
        assert_int_equal(cst_task_progress(task).done, steps[i].told);
    }
    cst_task_cancel(task);
    assert_int_equal(cst_rbd_job_progress(4, 4, job), -ECANCELED);
    job->flags = RBD_JOB_UNSTOPPABLE;
    assert_int_equal(cst_rbd_job_progress(4, 4, job), 0);
}

static void a_job_for_no_volume_is_the_pools(void **unused)
{
    g_autoptr(CstPoolState) state = site_open("");
    g_autoptr(RbdJob) job = cst_rbd_job_new(state, run_nothing, NULL, NULL);

    assert_string_equal(job->what, "pool 'p'");
    assert_true(cst_rbd_job_wait(job, NULL));
    cst_rbd_job_unref(NULL);
}

#define conn_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        conn_test(a_pool_has_one_connection_until_it_stops),
        conn_test(options_that_ceph_refuses_are_named),
        conn_test(each_step_of_connecting_may_fail),
        conn_test(the_secret_of_a_pool_opens_the_cluster),
        conn_test(invalid_key_is_never_sent_to_ceph),
        conn_test(a_pool_may_be_a_namespace),
        conn_test(paths_lead_to_volumes_of_this_pool_only),
        conn_test(deadline_is_longer_than_cephs_timeouts),
        conn_test(timeout_that_ceph_does_not_report_is_ignored),
        conn_test(callers_during_a_connect_share_its_result),
        conn_test(blocklisted_client_connects_again),
        conn_test(silent_monitors_are_no_reason_to_connect_anew),
        conn_test(progress_is_reported_as_parts_of_the_size),
        conn_test(a_job_for_no_volume_is_the_pools),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
