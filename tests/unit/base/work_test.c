/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls with a deadline: results, late results, heartbeats, and the thread that frees the work. */
#include "points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/work.h>

#define HOUR_MS (60 * 60 * 1000)

/* The clock of the product is ahead of the real one, so no wait for it ends by itself. */
static _Atomic gint64 ahead;

gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);

gint64 __wrap_g_get_monotonic_time(void)
{
    return __real_g_get_monotonic_time() + ahead;
}

/* test_lock guards the fields below. */
static GMutex test_lock;
static GCond test_cond;
static gboolean gate_closed;
static guint runs, clears;
static GThread *cleared_in;

typedef struct {
    CstWork work;
    gboolean result;
    guint64 connection; /* of the log context in which it ran */
} Call;

static gboolean run_call(CstWork *work, GError **error)
{
    Call *call = (Call *)work;
    const CstLogContext *context = cst_log_context();

    call->connection = context ? context->connection : 0;
    g_mutex_lock(&test_lock);
    runs++;
    g_cond_broadcast(&test_cond);
    while (gate_closed)
        g_cond_wait(&test_cond, &test_lock);
    g_mutex_unlock(&test_lock);
    return call->result || cst_fail(error, CST_ERROR_IO, "no disk");
}

static void clear_call(CstWork *work)
{
    g_mutex_lock(&test_lock);
    clears++;
    cleared_in = g_thread_self();
    g_cond_broadcast(&test_cond);
    g_mutex_unlock(&test_lock);
}

/* Waits until @count is 1. */
static void await_one(const guint *count)
{
    gint64 end = __real_g_get_monotonic_time() + POINT_LIMIT_S * G_TIME_SPAN_SECOND;

    g_mutex_lock(&test_lock);
    while (*count == 0)
        if (!g_cond_wait_until(&test_cond, &test_lock, end))
            fail_msg("runs: %u, clears: %u after %d s", runs, clears, POINT_LIMIT_S);
    assert_int_equal(*count, 1);
    g_mutex_unlock(&test_lock);
}

static guint count_clears(void)
{
    guint count;

    g_mutex_lock(&test_lock);
    count = clears;
    g_mutex_unlock(&test_lock);
    return count;
}

static void set_gate(gboolean closed)
{
    g_mutex_lock(&test_lock);
    gate_closed = closed;
    g_cond_broadcast(&test_cond);
    g_mutex_unlock(&test_lock);
}

static Call *call_new(gboolean has_run, gboolean result)
{
    Call *call = cst_work_new(sizeof(Call), has_run ? run_call : NULL, clear_call);

    runs = clears = 0;
    call->result = result;
    call->work.what = "volume 'v'";
    return call;
}

/* --- results ---------------------------------------------------------------------------------- */

static void result_comes_back_from_another_thread(void **state)
{
    CstLogContext context = {.connection = 12};
    g_autoptr(GError) error = NULL;
    Call *call;

    cst_log_push(&context);
    call = call_new(TRUE, TRUE);
    cst_log_pop(&context);
    assert_true(cst_work_wait(&call->work, HOUR_MS, NULL));
    assert_true(cst_work_is_done(&call->work));
    assert_int_equal(call->connection, 12);
    cst_work_unref(&call->work);
    await_one(&clears);
    call = call_new(TRUE, FALSE);
    assert_false(cst_work_wait(&call->work, HOUR_MS, &error));
    assert_string_equal(error->message, "no disk");
    cst_work_unref(&call->work);
    await_one(&clears);
    cst_work_unref(NULL);
}

/* The deadline has passed before the first wait. */
static void finished_result_has_no_deadline(void **state)
{
    Call *call = call_new(FALSE, TRUE);

    assert_false(cst_work_is_done(&call->work));
    cst_work_finish(&call->work, TRUE, NULL);
    ahead += 2 * G_TIME_SPAN_HOUR;
    assert_true(cst_work_wait(&call->work, HOUR_MS, NULL));
    cst_work_unref(&call->work);
    assert_int_equal(count_clears(), 1);
}

/* The call still runs, and holds the work until it ends. */
static void late_call_keeps_the_work(void **state)
{
    Call *call = call_new(TRUE, FALSE);
    g_autoptr(GError) error = NULL;

    set_gate(TRUE);
    assert_false(cst_work_wait(&call->work, 0, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_UNREACHABLE);
    assert_string_equal(error->message, "volume 'v': the storage's servers did not answer in time");
    await_one(&runs);
    cst_work_unref(&call->work);
    assert_int_equal(count_clears(), 0);
    set_gate(FALSE);
    await_one(&clears);
}

/* --- deadlines -------------------------------------------------------------------------------- */

static gpointer wait_an_hour(gpointer work)
{
    GError *error = NULL;

    return cst_work_wait(work, HOUR_MS, &error) ? NULL : error;
}

static void wake_waiter(CstWork *work)
{
    g_mutex_lock(&work->lock);
    g_cond_broadcast(&work->cond);
    g_mutex_unlock(&work->lock);
}

/* A wake-up is no result, and a heartbeat begins the hour anew. */
static void deadline_counts_from_the_last_heartbeat(void **state)
{
    Call *call = call_new(FALSE, TRUE);
    g_autoptr(GError) error = NULL;
    GThread *waiter;

    point_watch("work.wait");
    waiter = g_thread_new("waiter", wait_an_hour, call);
    point_await("work.wait", 1);
    for (guint i = 1; i <= 3; i++) {
        ahead += 50 * G_TIME_SPAN_MINUTE;
        cst_work_heartbeat(&call->work);
        wake_waiter(&call->work);
        point_await("work.wait", i + 1);
    }
    ahead += 61 * G_TIME_SPAN_MINUTE;
    wake_waiter(&call->work);
    error = g_thread_join(waiter);
    assert_int_equal(cst_error_code(error), CST_ERROR_UNREACHABLE);
    points_clear();
    cst_work_unref(&call->work);
}

static void wait_ends_with_the_result(void **state)
{
    Call *call = call_new(FALSE, TRUE);
    GError *failure = NULL, *error;
    GThread *waiter;

    point_watch("work.wait");
    waiter = g_thread_new("waiter", wait_an_hour, call);
    point_await("work.wait", 1);
    wake_waiter(&call->work);
    point_await("work.wait", 2);
    cst_fail(&failure, CST_ERROR_IO, "no disk");
    cst_work_finish(&call->work, FALSE, failure);
    error = g_thread_join(waiter);
    assert_ptr_equal(error, failure);
    assert_null(call->work.error);
    g_error_free(error);
    points_clear();
    cst_work_unref(&call->work);
    assert_int_equal(count_clears(), 1);
}

/* --- references ------------------------------------------------------------------------------- */

/* A library's own thread must not close resources of the work. */
static void last_reference_of_a_callback_is_dropped_elsewhere(void **state)
{
    Call *call = call_new(FALSE, TRUE);

    assert_ptr_equal(cst_work_ref(&call->work), &call->work);
    cst_work_unref_in_callback(&call->work);
    assert_int_equal(count_clears(), 0);
    cst_work_unref(cst_work_ref(&call->work));
    assert_int_equal(count_clears(), 0);
    cst_work_unref_in_callback(&call->work);
    await_one(&clears);
    assert_ptr_not_equal(cleared_in, g_thread_self());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(result_comes_back_from_another_thread),
        cmocka_unit_test(finished_result_has_no_deadline),
        cmocka_unit_test(late_call_keeps_the_work),
        cmocka_unit_test(deadline_counts_from_the_last_heartbeat),
        cmocka_unit_test(wait_ends_with_the_result),
        cmocka_unit_test(last_reference_of_a_callback_is_dropped_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
