/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another thread acts at the points where the connection of Gluster pools is awaited, made without
 * the lock, or closed.
 */
#include "gluster_site.h"

#include <errno.h>
#include <string.h>

#include <base/work.h>

#include "fake_wait.h"
#include "points.h"

/* --- deadlines -------------------------------------------------------------------------------- */

/* Wrapped with --wrap. */
gboolean __real_cst_work_wait(CstWork *work, guint deadline_ms, GError **error);
gboolean __wrap_cst_work_wait(CstWork *work, guint deadline_ms, GError **error);

static gboolean is_impatient; /* every deadline expires at once */
static guint deadlines[8];    /* of the calls since is_impatient was set */
static guint deadline_count;
static guint patient_from; /* the deadline that is honoured again, whose attempt answers; 0: no
                              deadline */

gboolean __wrap_cst_work_wait(CstWork *work, guint deadline_ms, GError **error)
{
    if (!is_impatient)
        return __real_cst_work_wait(work, deadline_ms, error);
    assert_true(deadline_count < G_N_ELEMENTS(deadlines));
    deadlines[deadline_count++] = deadline_ms;
    if (deadline_count != patient_from)
        return __real_cst_work_wait(work, 0, error);
    /* The previous attempts hang by now, and end late. */
    fake_gluster_await("glfs_init", deadline_count - 1);
    fake_gluster_resume();
    return __real_cst_work_wait(work, deadline_ms, error);
}

/* No deadline expires while a thread waits to be scheduled. */
#define PATIENT "<option name='timeout' value='600'/>"

static int set_up(void **state)
{
    is_impatient = FALSE;
    deadline_count = patient_from = 0;
    gluster_give_up_us = G_TIME_SPAN_DAY;
    site_set_up(state);
    cst_pool_state_unref(site_pool);
    site_pool = site_open("/d", PATIENT);
    return 0;
}

/* --- waiting for the connection --------------------------------------------------------------- */

typedef struct {
    GlusterConn *conn;
    GError *error;
} Caller;

static gpointer get_conn(gpointer data)
{
    Caller *caller = data;

    caller->conn = gluster_connect(site_pool, &caller->error);
    return NULL;
}

static void caller_clear(Caller *caller)
{
    gluster_conn_unref(caller->conn);
    g_clear_error(&caller->error);
    *caller = (Caller){0};
}

#define CALLERS 4

/* Puts all callers into one attempt, which waits in glfs_init() until all of them have arrived. */
static void share_an_attempt(Caller callers[CALLERS])
{
    GThread *threads[CALLERS];

    point_watch("gluster.conn.wait");
    fake_gluster_hang("glfs_init");
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (Caller){0};
        threads[i] = g_thread_new("caller", get_conn, &callers[i]);
    }
    point_await("gluster.conn.wait", CALLERS - 1);
    fake_gluster_resume();
    for (int i = 0; i < CALLERS; i++)
        g_thread_join(threads[i]);
    points_clear();
}

static void waiters_share_the_result_of_the_attempt(void **state)
{
    Caller callers[CALLERS];

    fake_gluster_fail("glfs_init", 0, 1, ENOTCONN);
    share_an_attempt(callers);
    assert_int_equal(fake_gluster_calls("glfs_init"), 1);
    for (int i = 0; i < CALLERS; i++) {
        assert_null(callers[i].conn);
        assert_true(g_error_matches(callers[i].error, CST_ERROR, CST_ERROR_UNREACHABLE));
        caller_clear(&callers[i]);
    }
    /* A later caller tries again, and the previous failure is dropped. */
    share_an_attempt(callers);
    assert_int_equal(fake_gluster_calls("glfs_init"), 2);
    for (int i = 0; i < CALLERS; i++) {
        assert_null(callers[i].error);
        assert_non_null(callers[i].conn);
        assert_ptr_equal(callers[i].conn, callers[0].conn);
    }
    for (int i = 0; i < CALLERS; i++)
        caller_clear(&callers[i]);
    fake_gluster_await_open(1, 0);
}

static void wake_next(gpointer unused)
{
    wait_wake_next();
}

static void waiter_waits_again_while_the_attempt_runs(void **state)
{
    Caller maker = {0}, waiter = {0};
    GThread *threads[2];

    fake_gluster_hang("glfs_init");
    threads[0] = g_thread_new("maker", get_conn, &maker);
    fake_gluster_await("glfs_init", 1);
    point_run("gluster.conn.wait", wake_next, NULL);
    threads[1] = g_thread_new("waiter", get_conn, &waiter);
    point_await("gluster.conn.wait", 2);
    fake_gluster_resume();
    g_thread_join(threads[0]);
    g_thread_join(threads[1]);
    points_clear();
    assert_int_equal(fake_gluster_calls("glfs_init"), 1);
    assert_non_null(waiter.conn);
    assert_ptr_equal(waiter.conn, maker.conn);
    caller_clear(&maker);
    caller_clear(&waiter);
}

static void assert_touch_fails(void)
{
    GError *error = NULL;

    fake_gluster_fail("glfs_statvfs", 0, 1, ENOTCONN);
    site_assert_failed(gluster_touch(site_pool->def, &error), &error, CST_ERROR_UNREACHABLE,
                       "Gluster volume 'gv0'");
}

static void give_up_conn(gpointer unused)
{
    gluster_give_up_us = -1;
    assert_touch_fails();
    assert_touch_fails();
}

static void give_up_before_lock(gpointer unused)
{
    wait_run_before_lock(give_up_conn, NULL);
}

/* The failure of an earlier attempt is dropped by then. */
static void waiter_connects_when_the_connection_is_lost_again(void **state)
{
    Caller maker = {0}, waiter = {0};
    GThread *threads[2];

    fake_gluster_fail("glfs_init", 0, 1, ENOTCONN);
    assert_null(gluster_connect(site_pool, NULL));
    fake_gluster_hang("glfs_init");
    threads[0] = g_thread_new("maker", get_conn, &maker);
    fake_gluster_await("glfs_init", 2);
    point_run("gluster.conn.wait", give_up_before_lock, NULL);
    threads[1] = g_thread_new("waiter", get_conn, &waiter);
    point_await("gluster.conn.wait", 1);
    fake_gluster_resume();
    g_thread_join(threads[0]);
    g_thread_join(threads[1]);
    points_clear();
    assert_null(waiter.error);
    assert_non_null(waiter.conn);
    assert_ptr_not_equal(waiter.conn, maker.conn);
    assert_int_equal(fake_gluster_calls("glfs_init"), 3);
    caller_clear(&maker);
    caller_clear(&waiter);
    fake_gluster_await_open(1, 0);
}

/* --- connecting without the lock -------------------------------------------------------------- */

static gpointer connect_as(gpointer pool)
{
    return gluster_connect(pool, NULL);
}

/*
 * Another pool that shares the entry comes and goes. The entry still belongs to the connecting
 * pool.
 */
static void pool_closed_during_a_connect_frees_its_place(void **state)
{
    CstPoolState *other = site_open("/", PATIENT);
    GlusterConn *conn, *again;
    GThread *thread;

    point_hold("gluster.conn.unlocked");
    thread = g_thread_new("connect", connect_as, site_pool);
    point_await("gluster.conn.unlocked", 1);
    cst_pool_state_unref(other);
    other = site_open("/", PATIENT);
    point_release("gluster.conn.unlocked");
    conn = g_thread_join(thread);
    points_clear();
    again = gluster_connect(other, NULL);
    assert_non_null(conn);
    assert_ptr_equal(conn, again);
    assert_int_equal(fake_gluster_calls("glfs_init"), 1);
    gluster_conn_unref(conn);
    gluster_conn_unref(again);
    /* Each pool counts as a separate user. */
    cst_pool_state_unref(other);
    again = gluster_connect(site_pool, NULL);
    assert_int_equal(fake_gluster_calls("glfs_init"), 1);
    gluster_conn_unref(again);
    g_clear_pointer(&site_pool, cst_pool_state_unref);
    fake_gluster_await_open(0, 0);
}

static void each_server_has_its_part_of_the_time(void **state)
{
    GlusterConn *conn;
    guint timeout_ms;

    fake_gluster_hang("glfs_init");
    is_impatient = TRUE;
    conn = gluster_connect(site_pool, NULL);
    is_impatient = FALSE;
    assert_null(conn);
    timeout_ms = ((GlusterState *)site_pool)->conf.timeout_ms;
    assert_int_equal(deadline_count, 2);
    assert_in_range(deadlines[0], timeout_ms / 8, timeout_ms / 4);
    assert_in_range(deadlines[1], timeout_ms / 2, timeout_ms);
}

static void assert_first_server(const char *server)
{
    g_autofree char *servers = fake_gluster_servers();

    assert_true(g_str_has_prefix(servers, server));
}

static void server_that_answered_is_asked_first_the_next_time(void **state)
{
    GlusterConn *conn;

    fake_gluster_hang("glfs_init");
    is_impatient = TRUE;
    patient_from = 2;
    conn = gluster_connect(site_pool, NULL);
    is_impatient = FALSE;
    assert_non_null(conn);
    assert_first_server("tcp two ");
    gluster_conn_unref(conn);
    give_up_conn(NULL);
    fake_gluster_await_open(0, 0);
    conn = gluster_connect(site_pool, NULL);
    assert_first_server("tcp two ");
    gluster_conn_unref(conn);
}

/* Makes attempts hang until further ones are refused. Returns the number of attempts started. */
static guint hang_attempts(void)
{
    guint before = fake_gluster_calls("glfs_init"), begun = 0;
    g_autoptr(GError) error = NULL;

    fake_gluster_hang("glfs_init");
    is_impatient = TRUE;
    while (!error || !strstr(error->message, "accept connections and do not answer")) {
        g_clear_error(&error);
        deadline_count = 0;
        assert_null(gluster_connect(site_pool, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNREACHABLE));
        begun += deadline_count;
    }
    is_impatient = FALSE;
    fake_gluster_await("glfs_init", before + begun);
    return begun;
}

/* An attempt that fails at once never counts as hanging. */
static void attempts_that_fail_at_once_are_not_counted(void **state)
{
    fake_gluster_fail("glfs_init", 0, 8, ENOTCONN);
    for (guint i = 1; i <= 8; i++) {
        assert_null(gluster_connect(site_pool, NULL));
        assert_int_equal(fake_gluster_calls("glfs_init"), i);
    }
    fake_gluster_hang("glfs_init");
    is_impatient = TRUE;
    assert_null(gluster_connect(site_pool, NULL)); /* hangs at both servers */
    is_impatient = FALSE;
    fake_gluster_await("glfs_init", 10);
    fake_gluster_fail("glfs_set_volfile_server", 0, 1, EIO);
    assert_null(gluster_connect(site_pool, NULL));
    assert_int_equal(hang_attempts(), 2);
}

static void attempts_that_have_ended_may_be_made_again(void **state)
{
    for (int round = 0; round < 3; round++) {
        assert_int_equal(hang_attempts(), 4);
        assert_int_equal(fake_gluster_connections(), 4);
        fake_gluster_resume();
        /* A connection that is made late is closed. */
        fake_gluster_await_open(0, 0);
    }
}

/* --- closing an unresponsive connection ------------------------------------------------------- */

static guint connections_made(void)
{
    GlusterConn *conn = gluster_connect(site_pool, NULL);

    assert_non_null(conn);
    gluster_conn_unref(conn);
    return fake_gluster_calls("glfs_init");
}

static void connection_without_an_answer_is_given_up_after_a_time(void **state)
{
    assert_int_equal(connections_made(), 1);
    for (int i = 0; i < 3; i++)
        assert_touch_fails();
    assert_int_equal(connections_made(), 1);
    gluster_give_up_us = -1;
    /* An answer resets the time. */
    assert_true(gluster_touch(site_pool->def, NULL));
    assert_touch_fails();
    assert_int_equal(connections_made(), 1);
    assert_touch_fails();
    assert_int_equal(connections_made(), 2);
    fake_gluster_await_open(1, 0);
    /* For the new connection the time starts with its first failure. */
    assert_touch_fails();
    assert_int_equal(connections_made(), 2);
    assert_touch_fails();
    assert_int_equal(connections_made(), 3);
    fake_gluster_await_open(1, 0);
}

/* A probe may outlive its pool, and must not connect then. */
static void touch_of_a_closed_pool_does_not_connect(void **state)
{
    g_autoptr(CstPoolDef) def = cst_pool_def_copy(site_pool->def);

    assert_int_equal(connections_made(), 1);
    g_clear_pointer(&site_pool, cst_pool_state_unref);
    fake_gluster_await_open(0, 0);
    assert_true(gluster_touch(def, NULL));
    assert_int_equal(fake_gluster_calls("glfs_init"), 1);
    assert_int_equal(fake_gluster_calls("glfs_statvfs"), 0);
}

/* Another probe closes the connection. A new connection exists, and has failed once. */
static void give_up_and_connect_anew(gpointer unused)
{
    assert_touch_fails();
    assert_int_equal(connections_made(), 2);
    assert_touch_fails();
}

static void late_failure_does_not_give_up_a_newer_connection(void **state)
{
    assert_int_equal(connections_made(), 1);
    gluster_give_up_us = -1;
    assert_touch_fails();
    point_run("gluster.touch.asked", give_up_and_connect_anew, NULL);
    assert_touch_fails();
    points_clear();
    assert_int_equal(connections_made(), 2);
    assert_touch_fails();
    assert_int_equal(connections_made(), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, site_tear_down)
        TEST(waiters_share_the_result_of_the_attempt),
        TEST(waiter_waits_again_while_the_attempt_runs),
        TEST(waiter_connects_when_the_connection_is_lost_again),
        TEST(pool_closed_during_a_connect_frees_its_place),
        TEST(each_server_has_its_part_of_the_time),
        TEST(server_that_answered_is_asked_first_the_next_time),
        TEST(attempts_that_fail_at_once_are_not_counted),
        TEST(attempts_that_have_ended_may_be_made_again),
        TEST(connection_without_an_answer_is_given_up_after_a_time),
        TEST(touch_of_a_closed_pool_does_not_connect),
        TEST(late_failure_does_not_give_up_a_newer_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
