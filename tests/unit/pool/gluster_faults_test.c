/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gluster servers that do not answer. No call waits longer than its timeout, and later calls
 * succeed.
 */
#include "gluster_site.h"

#include <errno.h>
#include <string.h>

#include "await.h"
#include "points.h"

/* Opens a pool with the shortest timeout, one second. */
static int set_up_short(void **state)
{
    site_set_up(state);
    cst_pool_state_unref(site_pool);
    site_pool = site_open("/d", "<option name='timeout' value='1'/>");
    return 0;
}

/* The probe may need some time to detect that the servers answer again. */
static void await_start(void)
{
    g_autoptr(GError) error = NULL;

    AWAIT_STATE((g_clear_error(&error), cst_pool_state_start(site_pool, &error)), "%s",
                error->message);
}

/* Waits until @asked(pool) returns @answer. */
static void await_answer(gboolean (*asked)(CstPoolState *pool, GError **error), gboolean answer)
{
    AWAIT_STATE(asked(site_pool, NULL) == answer, "answer %d", answer);
}

static gpointer connect_quietly(CstPoolState *pool)
{
    return gluster_connect(pool, NULL);
}

static void hanging_connection_has_a_deadline(void **state)
{
    GError *error = NULL;

    fake_gluster_hang("glfs_init");
    site_assert_failed(cst_pool_state_start(site_pool, &error), &error, CST_ERROR_UNREACHABLE,
                       "did not answer in time");
    fake_gluster_resume();
    await_start();
}

/* A first server that accepts but does not answer prevents the library from trying the second. */
static void the_second_server_is_asked_first_in_its_time(void **state)
{
    GThread *thread;
    g_autofree char *servers = NULL;
    GlusterConn *conn;

    fake_gluster_hang("glfs_init");
    thread = g_thread_new("connect", (GThreadFunc)connect_quietly, site_pool);
    fake_gluster_await("glfs_init", 2);
    servers = fake_gluster_servers();
    assert_true(g_str_has_prefix(servers, "tcp two "));
    fake_gluster_resume();
    conn = g_thread_join(thread);
    assert_non_null(conn);
    gluster_conn_unref(conn);
}

/* Servers that accept but do not answer must not occupy a thread for each call. */
static void number_of_hanging_attempts_is_limited(void **state)
{
    g_autoptr(GError) error = NULL;

    /* Bypasses the dispatcher, which would already know that the servers do not answer. */
    fake_gluster_hang("glfs_init");
    for (int i = 0; i < 4; i++)
        assert_null(gluster_connect(site_pool, NULL));
    assert_int_equal(fake_gluster_calls("glfs_init"), 4);
    for (int i = 0; i < 20; i++) {
        g_clear_error(&error);
        assert_null(gluster_connect(site_pool, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNREACHABLE));
    }
    assert_int_equal(fake_gluster_calls("glfs_init"), 4);
    fake_gluster_resume();
    await_start();
}

static void servers_that_fall_silent_are_noticed(void **state)
{
    GError *error = NULL;
    CstPoolUsage usage;

    assert_true(cst_pool_state_start(site_pool, NULL));
    fake_gluster_hang("glfs_statvfs");
    await_answer(cst_pool_state_answers, FALSE);
    site_assert_failed(site_scan(&error) != NULL, &error, CST_ERROR_UNREACHABLE,
                       "has not answered for");
    fake_gluster_resume();
    await_answer(cst_pool_state_answers, TRUE);
    assert_true(cst_pool_state_usage(site_pool, &usage, NULL));
    assert_int_equal(fake_gluster_calls("glfs_init"), 1);
}

/* The failure of the pool's storage is reported, and calls report their own errors. */
static void servers_that_are_away_are_a_problem(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_true(cst_pool_state_start(site_pool, NULL));
    fake_gluster_fail("glfs_statvfs", 0, 1000, ENOTCONN);
    await_answer(cst_pool_state_works, FALSE);
    assert_false(cst_pool_state_works(site_pool, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNREACHABLE));
    assert_true(cst_pool_state_answers(site_pool, NULL));
    fake_gluster_fail("glfs_statvfs", 0, 0, 0);
    await_answer(cst_pool_state_works, TRUE);
}

static void hang_servers(gpointer unused)
{
    fake_gluster_hang("glfs_statvfs");
    await_answer(cst_pool_state_answers, FALSE);
}

static void draft_is_abandoned_when_the_servers_answer_again(void **state)
{
    g_autofree char *path = site_path(".cistern-v.part");
    GError *error = NULL;

    site_put(".cistern-v.part", "draft");
    point_run("pool.draft.abandon", hang_servers, NULL);
    site_assert_failed(cst_pool_state_abandon(site_pool, "v", &error), &error,
                       CST_ERROR_UNREACHABLE, "has not answered for");
    points_clear();
    assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    fake_gluster_resume();
    await_start();
    while (!cst_pool_state_abandon(site_pool, "v", NULL))
        await_start();
    assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void closing_a_file_waits_for_the_deadline_at_most(void **state)
{
    CstBlob *blob;

    site_put("a", "content");
    blob = cst_pool_state_vol_open(site_pool, "a", FALSE, NULL);
    fake_gluster_hang("glfs_close");
    cst_blob_unref(blob);
    assert_int_equal(fake_gluster_files(), 1);
}

static void errors_have_their_codes(void **state)
{
    static const struct {
        int err;
        int code;
    } cases[] = {
        {ENOTCONN, CST_ERROR_UNREACHABLE}, {ETIMEDOUT, CST_ERROR_UNREACHABLE},
        {EBADFD, CST_ERROR_UNREACHABLE},   {ENOSPC, CST_ERROR_NO_SPACE},
        {EDQUOT, CST_ERROR_NO_SPACE},      {EROFS, CST_ERROR_READ_ONLY},
        {EACCES, CST_ERROR_DENIED},        {ENOENT, CST_ERROR_NOT_FOUND},
        {EBUSY, CST_ERROR_BUSY},           {0, CST_ERROR_IO},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        CstPoolUsage usage;

        assert_true(cst_pool_state_start(site_pool, NULL));
        fake_gluster_fail("glfs_opendir", 0, 1, cases[i].err);
        assert_null(site_scan(&error));
        if (!g_error_matches(error, CST_ERROR, cases[i].code))
            fail_msg("%d: %s", cases[i].err, error->message);
        assert_true(cst_pool_state_usage(site_pool, &usage, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_short, site_tear_down)
        TEST(hanging_connection_has_a_deadline),
        TEST(the_second_server_is_asked_first_in_its_time),
        TEST(number_of_hanging_attempts_is_limited),
        TEST(servers_that_fall_silent_are_noticed),
        TEST(servers_that_are_away_are_a_problem),
        TEST(draft_is_abandoned_when_the_servers_answer_again),
        TEST(closing_a_file_waits_for_the_deadline_at_most),
        cmocka_unit_test_setup_teardown(errors_have_their_codes, site_set_up, site_tear_down),
    };

    /* Set once, because the probing threads may outlive the test that started them. */
    cst_liveness_times.period = G_TIME_SPAN_SECOND / 10;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
