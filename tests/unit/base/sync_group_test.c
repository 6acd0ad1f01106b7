/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/sync_group.h>

/*
 * Group commit: the calls that a sync covers, the number of syncs, and the callers that get a
 * failure.
 */

#define THREADS 32
#define ROUNDS  20

static GMutex lock;
static GCond cond;
static guint begun, running;
static gboolean gate_closed; /* a sync that has begun waits until it opens */
static gboolean failing;
/* A sync makes all changes durable that were made before it began. */
static guint changed, durable;

static void reset(void)
{
    begun = running = changed = durable = 0;
    gate_closed = failing = FALSE;
}

static gboolean fake_sync(int fd, const char *name, GError **error)
{
    guint covered;
    gboolean fails;

    g_mutex_lock(&lock);
    begun++;
    assert_int_equal(++running, 1);
    covered = changed;
    fails = failing;
    g_cond_broadcast(&cond);
    while (gate_closed)
        g_cond_wait(&cond, &lock);
    running--;
    durable = MAX(durable, covered);
    g_mutex_unlock(&lock);
    return !fails || cst_fail(error, CST_ERROR_IO, "cannot sync '%s'", name);
}

/* Its change is on the disk when the wait ends. */
static gpointer change_and_wait(gpointer group)
{
    guint mine;

    g_mutex_lock(&lock);
    mine = ++changed;
    g_mutex_unlock(&lock);
    assert_true(cst_sync_group_wait(group, -1, "d", NULL));
    g_mutex_lock(&lock);
    assert_true(durable >= mine);
    g_mutex_unlock(&lock);
    return NULL;
}

static gpointer change_many_times(gpointer group)
{
    for (int i = 0; i < ROUNDS; i++)
        change_and_wait(group);
    return NULL;
}

static void each_change_is_covered_by_a_sync(void **state)
{
    CstSyncGroup *group = cst_sync_group_new(fake_sync);
    GThread *threads[THREADS];

    reset();
    for (int i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("changer", change_many_times, group);
    for (int i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);
    assert_int_equal(durable, THREADS * ROUNDS);
    assert_in_range(begun, ROUNDS, THREADS * ROUNDS);
    cst_sync_group_free(group);
}

static void alone_each_call_syncs_once(void **state)
{
    CstSyncGroup *group = cst_sync_group_new(fake_sync);

    reset();
    for (guint i = 1; i <= 3; i++) {
        assert_true(cst_sync_group_wait(group, -1, "d", NULL));
        assert_int_equal(begun, i);
    }
    cst_sync_group_free(group);
}

static gpointer wait_once(gpointer group)
{
    GError *error = NULL;

    cst_sync_group_wait(group, -1, "d", &error);
    return error;
}

static void wait_for_begun(guint wanted)
{
    g_mutex_lock(&lock);
    while (begun < wanted)
        g_cond_wait(&cond, &lock);
    g_mutex_unlock(&lock);
}

static void changes_during_a_sync_share_the_next_one(void **state)
{
    CstSyncGroup *group = cst_sync_group_new(fake_sync);
    GThread *threads[THREADS];

    reset();
    gate_closed = TRUE;
    threads[0] = g_thread_new("changer", change_and_wait, group);
    wait_for_begun(1);
    point_watch("sync_group.wait");
    for (int i = 1; i < THREADS; i++)
        threads[i] = g_thread_new("changer", change_and_wait, group);
    point_await("sync_group.wait", THREADS - 1);
    g_mutex_lock(&lock);
    gate_closed = FALSE;
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
    for (int i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);
    assert_int_equal(durable, THREADS);
    assert_int_equal(begun, 2);
    points_clear();
    cst_sync_group_free(group);
}

/* A call during a running sync is not covered by it, whether the sync succeeds or fails. */
static void running_sync_does_not_cover_later_calls(void **state)
{
    CstSyncGroup *group = cst_sync_group_new(fake_sync);
    GThread *first, *later[2];
    GError *error;

    reset();
    gate_closed = failing = TRUE;
    first = g_thread_new("first", wait_once, group);
    wait_for_begun(1);
    point_watch("sync_group.wait");
    later[0] = g_thread_new("later", wait_once, group);
    later[1] = g_thread_new("later", wait_once, group);
    point_await("sync_group.wait", 2);
    g_mutex_lock(&lock);
    assert_int_equal(begun, 1);
    failing = gate_closed = FALSE;
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
    error = g_thread_join(first);
    assert_non_null(error);
    g_clear_error(&error);
    assert_null(g_thread_join(later[0]));
    assert_null(g_thread_join(later[1]));
    assert_int_equal(begun, 2);
    points_clear();
    cst_sync_group_free(group);
}

/* A call comes after the leader's sync and before the leader locks again. */
static void a_sync_that_has_ended_covers_no_later_call(void **state)
{
    CstSyncGroup *group = cst_sync_group_new(fake_sync);
    GThread *first, *later;

    reset();
    point_hold("sync_group.synced");
    point_watch("sync_group.wait");
    first = g_thread_new("first", wait_once, group);
    point_await("sync_group.synced", 1);
    later = g_thread_new("later", wait_once, group);
    point_await("sync_group.wait", 1);
    point_release("sync_group.synced");
    assert_null(g_thread_join(first));
    assert_null(g_thread_join(later));
    assert_int_equal(begun, 2);
    points_clear();
    cst_sync_group_free(group);
}

static void a_failure_is_everybodys_of_its_round(void **state)
{
    CstSyncGroup *group = cst_sync_group_new(fake_sync);
    GThread *first, *later[2];

    reset();
    gate_closed = TRUE;
    first = g_thread_new("first", wait_once, group);
    wait_for_begun(1);
    point_watch("sync_group.wait");
    later[0] = g_thread_new("later", wait_once, group);
    later[1] = g_thread_new("later", wait_once, group);
    point_await("sync_group.wait", 2);
    g_mutex_lock(&lock);
    failing = TRUE;
    gate_closed = FALSE;
    g_cond_broadcast(&cond);
    g_mutex_unlock(&lock);
    assert_null(g_thread_join(first));
    for (int i = 0; i < 2; i++) {
        g_autoptr(GError) error = g_thread_join(later[i]);

        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    }
    assert_int_equal(begun, 2);
    points_clear();
    cst_sync_group_free(group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_is_covered_by_a_sync),
        cmocka_unit_test(changes_during_a_sync_share_the_next_one),
        cmocka_unit_test(alone_each_call_syncs_once),
        cmocka_unit_test(running_sync_does_not_cover_later_calls),
        cmocka_unit_test(a_sync_that_has_ended_covers_no_later_call),
        cmocka_unit_test(a_failure_is_everybodys_of_its_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
