/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rbd_site.h"

#include <errno.h>
#include <string.h>

#include "fake_wait.h"
#include "points.h"
#include "rbd/rbd.h"

/*
 * Another thread acts at the points where an RBD pool's connection is awaited, made without the
 * lock, or closed. Also the state of the cluster between the steps of a change.
 */

/* --- waiting for the connection --------------------------------------------------------------- */

typedef struct {
    RbdConn *conn;
    GError *error;
} Caller;

static gpointer get_conn(gpointer data)
{
    Caller *caller = data;

    caller->conn = cst_rbd_conn_get((RbdState *)site_pool, &caller->error);
    return NULL;
}

static void caller_clear(Caller *caller)
{
    cst_rbd_conn_unref(caller->conn);
    g_clear_error(&caller->error);
    *caller = (Caller){0};
}

/* Starts a thread that hangs while it connects. */
static GThread *start_maker(Caller *maker)
{
    GThread *thread;

    fake_ceph_hang("rados_connect");
    thread = g_thread_new("maker", get_conn, maker);
    fake_ceph_wait_hanging("rados_connect", 1);
    return thread;
}

static void wake_next(gpointer unused)
{
    wait_wake_next();
}

static void waiter_waits_again_while_the_attempt_runs(void **unused)
{
    Caller maker = {0}, waiter = {0};
    GThread *threads[2];

    threads[0] = start_maker(&maker);
    point_run("rbd.conn.wait", wake_next, NULL);
    threads[1] = g_thread_new("waiter", get_conn, &waiter);
    point_await("rbd.conn.wait", 2);
    fake_ceph_resume();
    g_thread_join(threads[0]);
    g_thread_join(threads[1]);
    points_clear();
    assert_int_equal(fake_ceph_calls("rados_connect"), 1);
    assert_non_null(waiter.conn);
    assert_ptr_equal(waiter.conn, maker.conn);
    assert_null(maker.error);
    assert_null(waiter.error);
    caller_clear(&maker);
    caller_clear(&waiter);
}

static void drop_conn(gpointer dropped)
{
    *(RbdConn **)dropped = cst_rbd_conn_get((RbdState *)site_pool, NULL);
    cst_rbd_conn_drop((RbdState *)site_pool);
}

static void drop_conn_before_lock(gpointer dropped)
{
    wait_run_before_lock(drop_conn, dropped);
}

/* The connection is closed after the waiter was woken and before it has the lock again. */
static void rbd_waiter_connects_when_the_connection_is_lost_again(void **unused)
{
    Caller maker = {0}, waiter = {0};
    GThread *threads[2];
    RbdConn *dropped = NULL;

    /* The failure of an earlier attempt is dropped by then. */
    fake_ceph_fail("rados_connect", 0, 1, -EIO);
    assert_null(cst_rbd_conn_get((RbdState *)site_pool, NULL));
    threads[0] = start_maker(&maker);
    point_run("rbd.conn.wait", drop_conn_before_lock, &dropped);
    threads[1] = g_thread_new("waiter", get_conn, &waiter);
    point_await("rbd.conn.wait", 1);
    fake_ceph_resume();
    g_thread_join(threads[0]);
    g_thread_join(threads[1]);
    points_clear();
    assert_non_null(dropped);
    assert_null(waiter.error);
    assert_non_null(waiter.conn);
    assert_ptr_not_equal(waiter.conn, dropped);
    assert_ptr_equal(waiter.conn, ((RbdState *)site_pool)->conn);
    assert_int_equal(fake_ceph_calls("rados_connect"), 3);
    assert_int_equal(((RbdState *)site_pool)->connecting, FALSE);
    cst_rbd_conn_unref(dropped);
    caller_clear(&maker);
    caller_clear(&waiter);
}

/* --- connecting without the lock -------------------------------------------------------------- */

static void renew_value(gpointer unused)
{
    assert_true(cst_pool_state_renew(site_pool, NULL));
}

static void waiters_get_the_connection_with_the_new_value(void **unused)
{
    Caller maker = {0}, waiter = {0};
    GThread *threads[2];

    point_hold("rbd.conn.unlocked");
    point_watch("rbd.conn.wait");
    threads[0] = g_thread_new("maker", get_conn, &maker);
    point_await("rbd.conn.unlocked", 1);
    threads[1] = g_thread_new("waiter", get_conn, &waiter);
    point_await("rbd.conn.wait", 1);
    renew_value(NULL);
    point_release("rbd.conn.unlocked");
    g_thread_join(threads[0]);
    g_thread_join(threads[1]);
    assert_int_equal(point_passed("rbd.conn.unlocked"), 2);
    points_clear();
    assert_non_null(maker.conn);
    assert_ptr_equal(maker.conn, waiter.conn);
    assert_int_equal(fake_ceph_calls("rados_connect"), 2);
    fake_ceph_await_clients(1);
    caller_clear(&maker);
    caller_clear(&waiter);
}

/* The cluster refused the old value. This does not apply to the new value. */
static void failure_with_the_old_value_is_not_the_result(void **unused)
{
    Caller maker = {0};

    fake_ceph_fail("rados_connect", 0, 1, -EACCES);
    point_run("rbd.conn.unlocked", renew_value, NULL);
    get_conn(&maker);
    points_clear();
    assert_null(maker.error);
    assert_non_null(maker.conn);
    assert_null(((RbdState *)site_pool)->problem);
    caller_clear(&maker);
}

/* --- closing an unresponsive connection ------------------------------------------------------- */

static void connect_anew(gpointer conn)
{
    cst_rbd_conn_drop((RbdState *)site_pool);
    *(RbdConn **)conn = cst_rbd_conn_get((RbdState *)site_pool, NULL);
}

static gboolean scan_all(GError **error)
{
    g_autofree char *lines = site_scan(site_pool, error);

    return lines != NULL;
}

static gboolean scan_one(GError **error)
{
    g_autofree char *line = site_scan_one(site_pool, "v", error);

    return line != NULL;
}

static void late_failure_does_not_drop_a_newer_connection(void **unused)
{
    static const struct {
        gboolean (*call)(GError **error);
        const char *fails;
    } cases[] = {{scan_all, "rbd_list2"}, {scan_one, "OSD"}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(RbdConn) newer = NULL;
        g_autoptr(RbdConn) next = NULL;
        GError *error = NULL;

        fake_ceph_fail(cases[i].fails, 0, 1, -ETIMEDOUT);
        point_run("rbd.conn.give_up", connect_anew, &newer);
        site_assert_failed(cases[i].call(&error), &error, CST_ERROR_UNREACHABLE, "");
        points_clear();
        assert_non_null(newer);
        next = cst_rbd_conn_get((RbdState *)site_pool, NULL);
        assert_ptr_equal(next, newer);
    }
}

static void failure_drops_its_own_connection(void **unused)
{
    RbdConn *before = cst_rbd_conn_get((RbdState *)site_pool, NULL);
    RbdConn *next;
    GError *error = NULL;

    fake_ceph_fail("OSD", 0, 1, -ETIMEDOUT);
    site_assert_failed(scan_one(&error), &error, CST_ERROR_UNREACHABLE, "");
    next = cst_rbd_conn_get((RbdState *)site_pool, NULL);
    assert_ptr_not_equal(next, before);
    fake_ceph_await_clients(2);
    cst_rbd_conn_unref(before);
    fake_ceph_await_clients(1);
    cst_rbd_conn_unref(next);
}

/* --- between the steps of a change ------------------------------------------------------------ */

/* The expected content of the cluster at a point. */
typedef struct {
    const char *dump;
    guint flushes; /* minimum number of calls */
} Expected;

static void assert_holds(gpointer data)
{
    const Expected *expected = data;

    site_assert_dump(expected->dump);
    assert_true(fake_ceph_calls("flush") >= expected->flushes);
}

#define PLAIN_V "v 22 3d 8388608 ''\n"

static void content_is_flushed_before_the_draft_is_named(void **unused)
{
    Expected expected = {"notes:\n.cistern-v.part 22 3d 8388608 'data'\n", 1};
    g_autoptr(CstVolDef) def = site_vol_def("v", SITE_SIZE, "");
    g_auto(CstVolDraft) draft = {.token = g_strdup("v")};

    assert_true(cst_pool_state_reserve(site_pool, def, &draft, NULL));
    assert_true(cst_blob_pwrite(draft.blob, "data", 4, 0, NULL));
    assert_int_equal(fake_ceph_calls("flush"), 0);
    point_run("rbd.commit.synced", assert_holds, &expected);
    assert_true(cst_pool_state_commit(site_pool, &draft, def, NULL));
    points_clear();
    assert_null(draft.blob);
    site_assert_dump("notes:\nv 22 3d 8388608 'data'\n");
}

static void failed_flush_leaves_the_draft_without_the_name(void **unused)
{
    g_autoptr(CstVolDef) def = site_vol_def("v", SITE_SIZE, "");
    g_auto(CstVolDraft) draft = {.token = g_strdup("v")};
    GError *error = NULL;

    assert_true(cst_pool_state_reserve(site_pool, def, &draft, NULL));
    assert_true(cst_blob_pwrite(draft.blob, "data", 4, 0, NULL));
    fake_ceph_fail("flush", 0, 1, -EIO);
    site_assert_failed(cst_pool_state_commit(site_pool, &draft, def, &error), &error, CST_ERROR_IO,
                       "'v'");
    site_assert_dump("notes:\n.cistern-v.part 22 3d 8388608 'data'\n");
    cst_vol_draft_clear(&draft);
    assert_true(cst_pool_state_abandon(site_pool, "v", NULL));
    site_assert_dump("notes:\n");
}

/* The note of the origin must exist before the clone is removed. */
static void origin_is_noted_until_it_is_released(void **unused)
{
    Expected before = {"notes: [cistern_release_v@.cistern-c=1]\n"
                       "c 22 3d 8388608 '' of v@.cistern-c\n" PLAIN_V
                       "  @.cistern-c protected 8388608 ''\n",
                       0};
    Expected flat = {"notes: [cistern_release_v@.cistern-c=1]\n"
                     "c 22 3d 8388608 ''\n" PLAIN_V "  @.cistern-c protected 8388608 ''\n",
                     0};

    fake_ceph_require_release(12);
    site_make_plain("v");
    assert_true(site_clone(site_pool, "c", SITE_SIZE, "v", NULL, NULL));
    point_run("rbd.remove.prepared", assert_holds, &before);
    assert_true(cst_pool_state_delete(site_pool, "c", 0, NULL));
    points_clear();
    site_assert_dump("notes:\n" PLAIN_V);
    assert_true(site_clone(site_pool, "c", SITE_SIZE, "v", NULL, NULL));
    point_run("rbd.flatten.flattened", assert_holds, &flat);
    assert_true(cst_pool_state_vol_flatten(site_pool, "c", NULL, NULL));
    points_clear();
    site_assert_dump("notes:\nc 22 3d 8388608 ''\n" PLAIN_V);
}

static void helper_is_recorded_until_the_clone_exists(void **unused)
{
    static const struct {
        int release;
        Expected noted, cloned;
        const char *done; /* with clones of version 2 the helper is in the trash by then */
    } cases[] = {
        {12,
         {"notes: [cistern_clone_c=v]\n" PLAIN_V, 0},
         {"notes: [cistern_clone_c=v]\n.cistern-c.part 22 3d 8388608 '' of v@.cistern-c\n" PLAIN_V
          "  @.cistern-c protected 8388608 ''\n",
          0},
         "notes:\nc 22 3d 8388608 '' of v@.cistern-c\n" PLAIN_V
         "  @.cistern-c protected 8388608 ''\n"},
        {13,
         {"notes: [cistern_clone_c=v]\n" PLAIN_V, 0},
         {"notes: [cistern_clone_c=v]\n.cistern-c.part 22 3d 8388608 '' of v@.cistern-c\n" PLAIN_V
          "  @.cistern-c 8388608 ''\n",
          0},
         "notes:\nc 22 3d 8388608 '' of v@trash\n" PLAIN_V "  @trash 8388608 ''\n"},
    };

    site_make_plain("v");
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        fake_ceph_require_release(cases[i].release);
        point_run("rbd.clone.noted", assert_holds, (gpointer)&cases[i].noted);
        point_run("rbd.clone.cloned", assert_holds, (gpointer)&cases[i].cloned);
        assert_true(site_clone(site_pool, "c", SITE_SIZE, "v", NULL, NULL));
        points_clear();
        site_assert_dump(cases[i].done);
        assert_true(cst_pool_state_delete(site_pool, "c", 0, NULL));
        site_assert_dump("notes:\n" PLAIN_V);
    }
}

/* --- reverts ---------------------------------------------------------------------------------- */

static void make_snapshot(void)
{
    site_make_plain("v");
    site_write(site_pool, "v", "old");
    site_snap(site_pool, "v", "s");
    site_write(site_pool, "v", "new");
}

static void revert_is_noted_while_it_rolls_back(void **unused)
{
    Expected begun = {"notes: [cistern_revert_@v=s]\nv 22 3d 8388608 'new'\n  @s 8388608 'old'\n",
                      0};
    Expected rolled = {"notes: [cistern_revert_@v=s]\nv 22 3d 8388608 'old'\n  @s 8388608 'old'\n",
                       0};
    g_autoptr(CstTask) task = cst_task_new();

    make_snapshot();
    point_run("rbd.snapshot.roll_back", assert_holds, &begun);
    point_run("rbd.revert.rolled", assert_holds, &rolled);
    assert_true(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, task, NULL));
    points_clear();
    assert_int_equal(cst_task_progress(task).total, SITE_SIZE);
    assert_int_equal(cst_task_progress(task).done, SITE_SIZE);
    site_assert_dump("notes:\nv 22 3d 8388608 'old'\n  @s 8388608 'old'\n");
}

static void cancel(gpointer task)
{
    cst_task_cancel(task);
}

static void revert_that_rolls_back_is_not_cancelled(void **unused)
{
    g_autoptr(CstTask) task = cst_task_new();

    make_snapshot();
    point_run("rbd.snapshot.roll_back", cancel, task);
    assert_true(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, task, NULL));
    points_clear();
    site_assert_dump("notes:\nv 22 3d 8388608 'old'\n  @s 8388608 'old'\n");
}

static void fail_roll_back(gpointer unused)
{
    fake_ceph_fail("rbd_snap_rollback_with_progress", 0, 1, -EIO);
}

static void settle_of_another(gpointer other)
{
    GError *error = NULL;

    site_assert_failed(cst_pool_state_settle(other, &error), &error, CST_ERROR_BUSY,
                       "is open in a program");
}

/* While one process finishes the revert, another process does not. */
static void revert_is_finished_by_one_process_only(void **unused)
{
    CstPoolState *other;
    g_autoptr(RbdConn) conn = site_another_client(&other);
    GError *error = NULL;

    make_snapshot();
    point_run("rbd.snapshot.roll_back", fail_roll_back, NULL);
    site_assert_failed(cst_pool_state_snapshot_revert(site_pool, "v", "s", NULL, NULL, &error),
                       &error, CST_ERROR_IO, "try again, or restart the pool");
    points_clear();
    point_run("rbd.snapshot.roll_back", settle_of_another, other);
    assert_true(cst_pool_state_settle(site_pool, NULL));
    assert_int_equal(point_passed("rbd.snapshot.roll_back"), 1);
    points_clear();
    site_assert_dump("notes:\nv 22 3d 8388608 'old'\n  @s 8388608 'old'\n");
    cst_pool_state_unref(other);
}

/* --- abandoned drafts ------------------------------------------------------------------------- */

/* Leaves a failed clone: its helper and the note exist. */
static void leave_failed_clone(void)
{
    fake_ceph_require_release(12);
    site_make_plain("v");
    fake_ceph_fail("rbd_clone3", 0, 1, -EIO);
    assert_false(site_clone(site_pool, "c", SITE_SIZE, "v", NULL, NULL));
    site_assert_dump("notes: [cistern_clone_c=v]\n" PLAIN_V "  @.cistern-c protected 8388608 ''\n");
}

typedef struct {
    const char *function;
    guint skip;
} Fault;

static void arm(gpointer fault)
{
    fake_ceph_fail(((Fault *)fault)->function, ((Fault *)fault)->skip, 1, -EIO);
}

/*
 * Each call that removes the helper fails once. The note stays, and the next attempt removes both.
 */
static void helper_of_an_abandoned_clone_is_dropped_at_the_next_attempt(void **unused)
{
    static Fault faults[] = {
        {"rbd_open", 1}, /* the first one is of the draft */
        {"rbd_snap_is_protected", 0},
        {"rbd_snap_unprotect", 0},
        {"rbd_snap_remove2", 0},
        {"rbd_pool_metadata_get", 0},
        {"rbd_pool_metadata_remove", 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_autofree char *dump = NULL;
        GError *error = NULL;

        leave_failed_clone();
        point_run("rbd.draft.abandon", arm, &faults[i]);
        site_assert_failed(cst_pool_state_abandon(site_pool, "c", &error), &error, CST_ERROR_IO,
                           "cannot remove the remains of a failed clone");
        points_clear();
        dump = fake_ceph_dump("libvirt", "");
        assert_non_null(strstr(dump, "[cistern_clone_c=v]"));
        assert_true(cst_pool_state_abandon(site_pool, "c", NULL));
        site_assert_dump("notes:\n" PLAIN_V);
        assert_true(cst_pool_state_delete(site_pool, "v", 0, NULL));
    }
}

static void draft_that_can_not_be_removed_keeps_its_helper(void **unused)
{
    static Fault faults[] = {{"rbd_open", 0}, {"rbd_remove_with_progress", 0}};

    fake_ceph_require_release(12);
    site_make_plain("v");
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_autofree char *before = NULL;
        GError *error = NULL;

        fake_ceph_fail("rbd_pool_metadata_remove", 0, 1, -EIO);
        assert_false(site_clone(site_pool, "c", SITE_SIZE, "v", NULL, NULL));
        before = fake_ceph_dump("libvirt", "");
        assert_non_null(strstr(before, ".cistern-c.part"));
        point_run("rbd.draft.abandon", arm, &faults[i]);
        site_assert_failed(cst_pool_state_abandon(site_pool, "c", &error), &error, CST_ERROR_IO,
                           ".cistern-c.part");
        points_clear();
        {
            g_autofree char *after = fake_ceph_dump("libvirt", "");

            assert_non_null(strstr(after, "[cistern_clone_c=v]"));
            assert_non_null(strstr(after, "  @.cistern-c protected 8388608 ''\n"));
        }
        assert_true(cst_pool_state_abandon(site_pool, "c", NULL));
        assert_true(cst_pool_state_settle(site_pool, NULL));
        site_assert_dump("notes:\n" PLAIN_V);
    }
}

#define race_test(f) cmocka_unit_test_setup_teardown(f, site_set_up, site_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        race_test(waiter_waits_again_while_the_attempt_runs),
        race_test(rbd_waiter_connects_when_the_connection_is_lost_again),
        race_test(waiters_get_the_connection_with_the_new_value),
        race_test(failure_with_the_old_value_is_not_the_result),
        race_test(late_failure_does_not_drop_a_newer_connection),
        race_test(failure_drops_its_own_connection),
        race_test(content_is_flushed_before_the_draft_is_named),
        race_test(failed_flush_leaves_the_draft_without_the_name),
        race_test(origin_is_noted_until_it_is_released),
        race_test(helper_is_recorded_until_the_clone_exists),
        race_test(revert_is_noted_while_it_rolls_back),
        race_test(revert_that_rolls_back_is_not_cancelled),
        race_test(revert_is_finished_by_one_process_only),
        race_test(helper_of_an_abandoned_clone_is_dropped_at_the_next_attempt),
        race_test(draft_that_can_not_be_removed_keeps_its_helper),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
