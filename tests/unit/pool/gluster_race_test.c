/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another thread at the places where the connection of Gluster pools is awaited, made without the
 * lock, or given up; and the files between the steps of a change.
 */
#include "gluster_site.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include <base/work.h>

#include "fake_wait.h"
#include "points.h"

/* --- deadlines -------------------------------------------------------------------------------- */

/* Linked with --wrap. */
gboolean __real_cst_work_wait(CstWork *work, guint deadline_ms, GError **error);
gboolean __wrap_cst_work_wait(CstWork *work, guint deadline_ms, GError **error);

static gboolean is_impatient; /* every deadline is over at once */
static guint deadlines[8];    /* of the calls since is_impatient was set */
static guint deadline_count;

gboolean __wrap_cst_work_wait(CstWork *work, guint deadline_ms, GError **error)
{
    if (!is_impatient)
        return __real_cst_work_wait(work, deadline_ms, error);
    assert_true(deadline_count < G_N_ELEMENTS(deadlines));
    deadlines[deadline_count++] = deadline_ms;
    return __real_cst_work_wait(work, 0, error);
}

static int set_up(void **state)
{
    is_impatient = FALSE;
    deadline_count = 0;
    gluster_give_up_us = G_TIME_SPAN_DAY;
    return site_set_up(state);
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

/* Has all callers in one attempt, which waits in glfs_init() until all of them are there. */
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
    /* A later caller tries again, and the failure from before is forgotten. */
    share_an_attempt(callers);
    assert_int_equal(fake_gluster_calls("glfs_init"), 2);
    for (int i = 0; i < CALLERS; i++) {
        assert_null(callers[i].error);
        assert_non_null(callers[i].conn);
        assert_ptr_equal(callers[i].conn, callers[0].conn);
    }
    for (int i = 0; i < CALLERS; i++)
        caller_clear(&callers[i]);
    assert_int_equal(fake_gluster_connections(), 1);
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

/* --- connecting without the lock -------------------------------------------------------------- */

static gpointer connect_as(gpointer pool)
{
    return gluster_connect(pool, NULL);
}

/* One that shares the place comes and goes: it is the connecting pool's place still. */
static void pool_that_goes_meanwhile_leaves_the_place(void **state)
{
    CstPoolState *other = site_open("/", "");
    GlusterConn *conn, *again;
    GThread *thread;

    point_hold("gluster.conn.unlocked");
    thread = g_thread_new("connect", connect_as, site_pool);
    point_await("gluster.conn.unlocked", 1);
    cst_pool_state_unref(other);
    other = site_open("/", "");
    point_release("gluster.conn.unlocked");
    conn = g_thread_join(thread);
    points_clear();
    again = gluster_connect(other, NULL);
    assert_non_null(conn);
    assert_ptr_equal(conn, again);
    assert_int_equal(fake_gluster_calls("glfs_init"), 1);
    gluster_conn_unref(conn);
    gluster_conn_unref(again);
    /* Each pool is a user of its own. */
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

/* Has attempts hang until further ones are refused; returns how many were begun. */
static guint hang_attempts(void)
{
    guint before = fake_gluster_calls("glfs_new");
    g_autoptr(GError) error = NULL;

    fake_gluster_hang("glfs_init");
    is_impatient = TRUE;
    while (!error || !strstr(error->message, "accept connections and do not answer")) {
        g_clear_error(&error);
        deadline_count = 0;
        assert_null(gluster_connect(site_pool, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNREACHABLE));
    }
    is_impatient = FALSE;
    fake_gluster_await("glfs_init", before + 4);
    return fake_gluster_calls("glfs_new") - before;
}

static void attempts_that_have_ended_may_be_made_again(void **state)
{
    for (int round = 0; round < 3; round++) {
        assert_int_equal(hang_attempts(), 4);
        assert_int_equal(fake_gluster_connections(), 4);
        fake_gluster_resume();
        /* A connection that comes late is closed. */
        fake_gluster_await_open(0, 0);
    }
}

/* --- giving up a connection ------------------------------------------------------------------- */

static void assert_touch_fails(void)
{
    GError *error = NULL;

    fake_gluster_fail("glfs_statvfs", 0, 1, ENOTCONN);
    site_assert_failed(gluster_touch(site_pool->def, &error), &error, CST_ERROR_UNREACHABLE,
                       "Gluster volume 'gv0'");
}

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
    /* An answer begins the time anew. */
    assert_true(gluster_touch(site_pool->def, NULL));
    assert_touch_fails();
    assert_int_equal(connections_made(), 1);
    assert_touch_fails();
    assert_int_equal(connections_made(), 2);
    fake_gluster_await_open(1, 0);
    /* The time of the new connection begins with its own first failure. */
    assert_touch_fails();
    assert_int_equal(connections_made(), 2);
    assert_touch_fails();
    assert_int_equal(connections_made(), 3);
    fake_gluster_await_open(1, 0);
}

/* Another probe gives the connection up, and there is a new one, which has failed once. */
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

/* --- between the steps of a change ------------------------------------------------------------ */

static char *get(const char *name)
{
    g_autofree char *path = site_path(name);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("-");
}

static void assert_content(const char *name, const char *content)
{
    g_autofree char *is = get(name);

    assert_string_equal(is, content);
}

/* What has to be there at a point; "-": no such file. */
typedef struct {
    const char *old_name, *old_content, *new_name, *new_content;
    guint syncs; /* calls of glfs_fsync() since the beginning */
} Expected;

static void assert_there(gpointer data)
{
    const Expected *expected = data;

    assert_content(expected->old_name, expected->old_content);
    assert_content(expected->new_name, expected->new_content);
    assert_int_equal(fake_gluster_calls("glfs_fsync"), expected->syncs);
}

static void content_and_name_of_a_new_volume_are_synced(void **state)
{
    static const Expected synced = {".cistern-v.part", "content", "v", "-", 1},
                          linked = {".cistern-v.part", "content", "v", "content", 1},
                          named = {".cistern-v.part", "-", "v", "content", 1};

    point_run("gluster.commit.synced", assert_there, (gpointer)&synced);
    point_run("gluster.commit.linked", assert_there, (gpointer)&linked);
    point_run("gluster.commit.named", assert_there, (gpointer)&named);
    assert_true(site_make("v", "raw", NULL));
    points_clear();
    assert_int_equal(fake_gluster_calls("glfs_fsync"), 2);
}

static void put_another(gpointer unused)
{
    g_autofree char *path = site_path("v");

    assert_int_equal(g_unlink(path), 0);
    site_put("v", "theirs");
}

static void name_that_somebody_replaced_is_left(void **state)
{
    GError *error = NULL;

    point_run("gluster.commit.linked", put_another, NULL);
    site_assert_failed(site_make("v", "raw", &error), &error, CST_ERROR_DENIED,
                       "somebody put something else in the place of volume 'v'");
    points_clear();
    assert_content("v", "theirs");
    assert_content(".cistern-v.part", "content");
    assert_true(cst_pool_state_abandon(site_pool, "v", NULL));
    assert_content(".cistern-v.part", "-");
    assert_content("v", "theirs");
}

/* Without the service's vol_abandon, which comes after a failed commit only. */
static void failed_reservation_leaves_no_draft(void **state)
{
    static const struct {
        const char *function;
        guint skip;
    } faults[] = {{"glfs_creat", 0}, {"glfs_fchown", 0}, {"glfs_ftruncate", 0}};
    g_autoptr(CstVolDef) def = cst_vol_def_parse(
        "<volume><name>v</name><capacity>1</capacity><target><permissions><owner>0</owner>"
        "<group>0</group><mode>0640</mode></permissions></target></volume>",
        CST_POOL_GLUSTER, 0, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_auto(CstVolDraft) draft = {.token = g_strdup("v")};
        GError *error = NULL;

        fake_gluster_fail(faults[i].function, faults[i].skip, 1, EIO);
        site_assert_failed(cst_pool_state_reserve(site_pool, def, &draft, &error), &error,
                           CST_ERROR_IO, "'v'");
        assert_null(draft.blob);
        assert_content(".cistern-v.part", "-");
        assert_int_equal(fake_gluster_files(), 0);
    }
}

static void arm_unlink(gpointer unused)
{
    fake_gluster_fail("glfs_unlink", 0, 1, EIO);
}

static void draft_is_abandoned_at_the_next_attempt(void **state)
{
    GError *error = NULL;

    site_put(".cistern-v.part", "draft");
    point_run("gluster.draft.abandon", arm_unlink, NULL);
    site_assert_failed(cst_pool_state_abandon(site_pool, "v", &error), &error, CST_ERROR_IO,
                       "cannot unlink file '.cistern-v.part'");
    points_clear();
    assert_content(".cistern-v.part", "draft");
    assert_true(cst_pool_state_abandon(site_pool, "v", NULL));
    assert_content(".cistern-v.part", "-");
}

/* --- renames ---------------------------------------------------------------------------------- */

static void names_are_synced_before_the_old_one_goes(void **state)
{
    static const Expected linked = {"a", "data", "b", "data", 1},
                          unlinked = {"a", "-", "b", "data", 1};

    site_put("a", "data");
    point_run("gluster.rename.linked", assert_there, (gpointer)&linked);
    point_run("gluster.rename.unlinked", assert_there, (gpointer)&unlinked);
    assert_true(cst_pool_state_rename(site_pool, "a", "b", NULL));
    points_clear();
    assert_int_equal(fake_gluster_calls("glfs_fsync"), 2);
}

/* Whichever step fails: the content has one of its names at least, and the same call completes. */
static void rename_that_failed_is_completed_by_the_next_attempt(void **state)
{
    static const struct {
        const char *function;
        guint skip;
        const char *a, *b;
        guint syncs; /* of the attempt that completes it */
    } faults[] = {
        {"glfs_link", 0, "data", "-", 2},  {"glfs_fsync", 0, "data", "-", 2},
        {"glfs_open", 0, "data", "-", 2},  {"glfs_unlink", 0, "data", "data", 2},
        {"glfs_fsync", 1, "-", "data", 1}, {"glfs_open", 1, "-", "data", 1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_autofree char *path = site_path("b");
        GError *error = NULL;
        guint before;

        site_put("a", "data");
        fake_gluster_fail(faults[i].function, faults[i].skip, 1, EIO);
        site_assert_failed(cst_pool_state_rename(site_pool, "a", "b", &error), &error, CST_ERROR_IO,
                           "'a'");
        assert_content("a", faults[i].a);
        assert_content("b", faults[i].b);
        before = fake_gluster_calls("glfs_fsync");
        assert_true(cst_pool_state_rename(site_pool, "a", "b", NULL));
        assert_content("a", "-");
        assert_content("b", "data");
        assert_int_equal(fake_gluster_calls("glfs_fsync") - before, faults[i].syncs);
        assert_int_equal(g_unlink(path), 0);
    }
}

/* A crash after the link leaves both names, of which neither may be on the disk yet. */
static void rename_with_both_names_syncs_before_the_old_one_goes(void **state)
{
    static const Expected linked = {"a", "data", "b", "data", 1};
    g_autofree char *from = site_path("a");
    g_autofree char *to = site_path("b");

    site_put("a", "data");
    assert_int_equal(link(from, to), 0);
    point_run("gluster.rename.linked", assert_there, (gpointer)&linked);
    assert_true(cst_pool_state_rename(site_pool, "a", "b", NULL));
    points_clear();
    assert_content("a", "-");
    assert_content("b", "data");
    assert_int_equal(fake_gluster_calls("glfs_fsync"), 2);
}

static void second_name_that_can_not_be_synced_goes_again(void **state)
{
    static const char *const functions[] = {"glfs_fsync", "glfs_open"};

    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
        g_autofree char *path = site_path("b");
        GError *error = NULL;

        site_put("a", "data");
        fake_gluster_fail(functions[i], 0, 1, EIO);
        site_assert_failed(cst_pool_state_link(site_pool, "a", "b", &error), &error, CST_ERROR_IO,
                           "'a'");
        assert_content("a", "data");
        assert_content("b", "-");
        assert_true(cst_pool_state_link(site_pool, "a", "b", NULL));
        assert_content("b", "data");
        assert_int_equal(g_unlink(path), 0);
    }
}

static void name_that_is_taken_is_not_replaced(void **state)
{
    GError *error = NULL;

    site_put("a", "data");
    site_put("b", "theirs");
    site_assert_failed(cst_pool_state_rename(site_pool, "a", "b", &error), &error,
                       CST_ERROR_VOL_EXISTS, "'b'");
    site_assert_failed(cst_pool_state_link(site_pool, "a", "b", &error), &error,
                       CST_ERROR_VOL_EXISTS, "'b'");
    /* It was taken after it had been looked at. */
    fake_gluster_fail("glfs_lstat", 1, 1, ENOENT);
    site_assert_failed(cst_pool_state_rename(site_pool, "a", "b", &error), &error,
                       CST_ERROR_VOL_EXISTS, "'b'");
    assert_content("a", "data");
    assert_content("b", "theirs");
    assert_true(cst_pool_state_link(site_pool, "a", "c", NULL));
    assert_content("a", "data");
    assert_content("c", "data");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, site_tear_down)
        TEST(waiters_share_the_result_of_the_attempt),
        TEST(waiter_waits_again_while_the_attempt_runs),
        TEST(pool_that_goes_meanwhile_leaves_the_place),
        TEST(each_server_has_its_part_of_the_time),
        TEST(attempts_that_have_ended_may_be_made_again),
        TEST(connection_without_an_answer_is_given_up_after_a_time),
        TEST(late_failure_does_not_give_up_a_newer_connection),
        TEST(content_and_name_of_a_new_volume_are_synced),
        TEST(name_that_somebody_replaced_is_left),
        TEST(failed_reservation_leaves_no_draft),
        TEST(draft_is_abandoned_at_the_next_attempt),
        TEST(names_are_synced_before_the_old_one_goes),
        TEST(rename_that_failed_is_completed_by_the_next_attempt),
        TEST(rename_with_both_names_syncs_before_the_old_one_goes),
        TEST(second_name_that_can_not_be_synced_goes_again),
        TEST(name_that_is_taken_is_not_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
