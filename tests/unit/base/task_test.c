/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/task.h>

#define MIB (1024 * 1024)

/* Moves @n MiB in steps of one; the seconds that it took. */
static double move(CstTask *task, int n)
{
    gint64 began = g_get_monotonic_time();

    for (int i = 0; i < n; i++) {
        assert_true(cst_task_check(task, NULL));
        cst_task_advance(task, MIB);
    }
    assert_true(cst_task_check(task, NULL));
    return (double)(g_get_monotonic_time() - began) / G_USEC_PER_SEC;
}

static void test_rate(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();

    assert_true(move(task, 100) < 0.2);
    cst_task_set_rate(task, 20 * MIB);
    assert_int_equal(cst_task_rate(task), 20 * MIB);
    assert_true(move(task, 8) > 0.35);
    cst_task_set_rate(task, 0);
    assert_true(move(task, 100) < 0.2);
}

/* A hole of any size moves nothing. */
static void test_skipping_is_free(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    gint64 began = g_get_monotonic_time();

    cst_task_set_rate(task, MIB);
    cst_task_advance(task, G_GUINT64_CONSTANT(1) << 40);
    for (int i = 0; i < 100; i++)
        cst_task_skip(task, MIB);
    assert_true(cst_task_check(task, NULL));
    assert_true(g_get_monotonic_time() - began < G_USEC_PER_SEC / 2);
    assert_true(cst_task_progress(task).done == (G_GUINT64_CONSTANT(1) << 40) + 100 * MIB);
}

static gpointer cancel_soon(gpointer task)
{
    g_usleep(100000);
    cst_task_cancel(task);
    return NULL;
}

static void test_cancel_ends_the_waiting(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    gint64 began = g_get_monotonic_time();
    GThread *thread;

    cst_task_set_rate(task, 1);
    cst_task_advance(task, MIB);
    thread = g_thread_new("cancel", cancel_soon, task);
    assert_false(cst_task_check(task, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
    assert_true(g_get_monotonic_time() - began < 5 * G_USEC_PER_SEC);
    g_thread_join(thread);
}

static gpointer unlimit_soon(gpointer task)
{
    g_usleep(100000);
    cst_task_set_rate(task, 0);
    return NULL;
}

static void test_new_rate_ends_the_waiting(void **state)
{
    g_autoptr(CstTask) task = cst_task_new();
    GThread *thread;

    cst_task_set_rate(task, 1);
    cst_task_advance(task, MIB);
    thread = g_thread_new("rate", unlimit_soon, task);
    assert_true(cst_task_check(task, NULL));
    g_thread_join(thread);
}

/* Nobody to watch is allowed everywhere. */
static void test_null(void **state)
{
    uid_t uid;
    pid_t pid;

    cst_task_set_rate(NULL, 1);
    cst_task_set_waiting(NULL, TRUE);
    cst_task_set_job(NULL, 1);
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
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_skipping_is_free),
        cmocka_unit_test(test_cancel_ends_the_waiting),
        cmocka_unit_test(test_new_rate_ends_the_waiting),
        cmocka_unit_test(test_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
