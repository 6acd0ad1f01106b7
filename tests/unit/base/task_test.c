/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/task.h>

#define MIB (1024 * 1024)

/* A clock that only sleeping moves. */
static gint64 now = G_TIME_SPAN_DAY, longest_sleep;

gint64 __wrap_g_get_monotonic_time(void);
void __wrap_g_usleep(gulong us);

gint64 __wrap_g_get_monotonic_time(void)
{
    return now;
}

void __wrap_g_usleep(gulong us)
{
    now += (gint64)us;
    longest_sleep = MAX(longest_sleep, (gint64)us);
}

/* Moves @n MiB in steps of one. Returns the duration in milliseconds. */
static int move(CstTask *task, int n)
{
    gint64 began = now;

    for (int i = 0; i < n; i++) {
        assert_true(cst_task_check(task, NULL));
        cst_task_advance(task, MIB);
    }
    assert_true(cst_task_check(task, NULL));
    return (int)((now - began) / G_TIME_SPAN_MILLISECOND);
}

static void rate_is_kept_by_sleeping(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();

    assert_int_equal(move(task, 100), 0);
    cst_task_set_rate(task, 20 * MIB);
    assert_int_equal(cst_task_rate(task), 20 * MIB);
    assert_int_equal(move(task, 8), 400);
    /* The same rate again forgives no bytes. */
    cst_task_advance(task, MIB);
    cst_task_set_rate(task, 20 * MIB);
    assert_int_equal(move(task, 19), 1000);
    cst_task_set_rate(task, 10 * MIB);
    assert_int_equal(move(task, 10), 1000);
    cst_task_set_rate(task, 0);
    assert_int_equal(move(task, 100), 0);
    /* A cancel is detected during the sleep. */
    assert_in_range(longest_sleep, 1, 100 * G_TIME_SPAN_MILLISECOND);
}

/* A second's worth may be made up for, and not more. */
static void pause_is_followed_by_no_burst(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();

    cst_task_set_rate(task, MIB);
    now += 500 * G_TIME_SPAN_MILLISECOND;
    assert_int_equal(move(task, 1), 500);
    now += 10 * G_TIME_SPAN_SECOND;
    assert_int_equal(move(task, 3), 2000);
    assert_int_equal(move(task, 1), 1000);
}

/* A hole of any size does not count. */
static void skipped_bytes_are_free(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    gint64 began = now;

    cst_task_set_rate(task, MIB);
    cst_task_set_total(task, 5);
    cst_task_add_total(task, 2);
    cst_task_skip(task, G_GUINT64_CONSTANT(1) << 40);
    for (int i = 0; i < 100; i++)
        cst_task_skip(task, MIB);
    assert_true(cst_task_check(task, NULL));
    assert_int_equal(now, began);
    assert_true(cst_task_progress(task).done == (G_GUINT64_CONSTANT(1) << 40) + 100 * MIB);
    assert_int_equal(cst_task_progress(task).total, 7);
}

static void step_of_any_size_counts_against_the_rate(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    gint64 began = now;

    cst_task_set_rate(task, MIB);
    cst_task_advance(task, 64 * MIB);
    assert_true(cst_task_check(task, NULL));
    assert_int_equal(now - began, 64 * G_TIME_SPAN_SECOND);
}

static void cancel(gpointer task)
{
    cst_task_cancel(task);
}

static void cancel_ends_the_wait_for_the_rate(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;

    cst_task_set_rate(task, 1);
    cst_task_advance(task, MIB);
    point_run("task.rate.wait", cancel, task);
    assert_false(cst_task_check(task, &error));
    assert_int_equal(point_passed("task.rate.wait"), 1);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
    points_clear();
}

static void remove_limit(gpointer task)
{
    cst_task_set_rate(task, 0);
}

static void new_rate_ends_the_wait_for_the_old_one(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();

    cst_task_set_rate(task, 1);
    cst_task_advance(task, MIB);
    point_run("task.rate.wait", remove_limit, task);
    assert_true(cst_task_check(task, NULL));
    assert_int_equal(point_passed("task.rate.wait"), 1);
    points_clear();
}

/* --- the reason of the end -------------------------------------------------------------------- */

static void assert_reason(CstTask *task, const char *reason)
{
    g_autoptr(GError) error = NULL;

    assert_int_equal(cst_task_check(task, &error), reason == NULL);
    assert_int_equal(cst_task_cancelled(task), reason != NULL);
    if (reason)
        assert_string_equal(error->message, reason);
}

#define ABANDONED "cancelled because its client is gone"
#define REQUESTED "cancelled by request"

static void assert_goes_on(gpointer task)
{
    assert_reason(task, NULL);
}

/* No thread sees the end before its reason. */
static void abandoned_task_has_its_reason_from_the_beginning(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();

    point_run("task.abandon.reason", assert_goes_on, task);
    cst_task_abandon(task);
    points_clear();
    assert_reason(task, ABANDONED);
    cst_task_cancel(task);
    assert_reason(task, ABANDONED);
}

static void cancelled_or_detached_task_is_not_abandoned(void **state)
{
    g_autoptr(CstTask) cancelled = cst_task_new(), detached = cst_task_new();

    cst_task_cancel(cancelled);
    cst_task_abandon(cancelled);
    assert_reason(cancelled, REQUESTED);
    cst_task_set_max_wait(detached, 9);
    assert_int_equal(cst_task_max_wait(detached), 9);
    cst_task_detach(detached);
    assert_int_equal(cst_task_max_wait(detached), 0);
    cst_task_abandon(detached);
    assert_reason(detached, NULL);
    cst_task_cancel(detached);
    assert_reason(detached, REQUESTED);
}

/* --- notices ---------------------------------------------------------------------------------- */

static void count_wait(gboolean waiting, gpointer data)
{
    *(int *)data += waiting ? 1 : 100;
}

static void listener_gets_changes_of_the_wait(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    int told = 0;

    cst_task_set_waiting(task, TRUE);
    cst_task_set_waiting(task, FALSE);
    cst_task_on_wait(task, count_wait, &told);
    cst_task_set_waiting(task, FALSE);
    assert_int_equal(told, 0);
    cst_task_set_waiting(task, TRUE);
    cst_task_set_waiting(task, 2);
    assert_true(cst_task_waiting(task));
    assert_int_equal(told, 1);
    cst_task_set_waiting(task, FALSE);
    cst_task_set_waiting(task, FALSE);
    assert_int_equal(told, 101);
}

static void count_stuck(const GError *why, gpointer data)
{
    *(int *)data += 1;
}

static void listener_gets_stuck_reports_until_it_is_removed(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) why = g_error_new(CST_ERROR, CST_ERROR_IO, "no disk");
    int told = 0;

    cst_task_tell_stuck(task, why);
    cst_task_on_stuck(task, count_stuck, &told);
    cst_task_tell_stuck(task, why);
    cst_task_tell_stuck(task, why);
    assert_int_equal(told, 2);
    cst_task_on_stuck(task, NULL, NULL);
    cst_task_tell_stuck(task, why);
    cst_task_tell_stuck(NULL, why);
    assert_int_equal(told, 2);
}

/* NULL is allowed everywhere as the task. */
static void test_null(void **state)
{
    uid_t uid;
    pid_t pid;

    cst_task_set_rate(NULL, 1);
    cst_task_set_waiting(NULL, TRUE);
    cst_task_set_job(NULL, 1);
    cst_task_cancel(NULL);
    cst_task_abandon(NULL);
    cst_task_owner(NULL, &uid, &pid);
    assert_true(pid > 0);
    assert_int_equal(cst_task_rate(NULL), 0);
    assert_false(cst_task_waiting(NULL));
    assert_int_equal(cst_task_job(NULL), 0);
    assert_true(cst_task_check(NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_is_kept_by_sleeping),
        cmocka_unit_test(pause_is_followed_by_no_burst),
        cmocka_unit_test(skipped_bytes_are_free),
        cmocka_unit_test(step_of_any_size_counts_against_the_rate),
        cmocka_unit_test(cancel_ends_the_wait_for_the_rate),
        cmocka_unit_test(new_rate_ends_the_wait_for_the_old_one),
        cmocka_unit_test(abandoned_task_has_its_reason_from_the_beginning),
        cmocka_unit_test(cancelled_or_detached_task_is_not_abandoned),
        cmocka_unit_test(listener_gets_changes_of_the_wait),
        cmocka_unit_test(listener_gets_stuck_reports_until_it_is_removed),
        cmocka_unit_test(test_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
