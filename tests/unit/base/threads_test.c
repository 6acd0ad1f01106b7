/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/dry_run.h>
#include <base/log_context.h>
#include <base/threads.h>

#include "await.h"

/* Calls of work(), and returned calls. */
typedef struct {
    gint begun, ended;
    gint together; /* each waits until so many have begun */
} Work;

static gint may_have; /* threads, before the system refuses */

GThread *__real_g_thread_try_new(const char *name, GThreadFunc func, gpointer data, GError **error);
GThread *__wrap_g_thread_try_new(const char *name, GThreadFunc func, gpointer data, GError **error);

GThread *__wrap_g_thread_try_new(const char *name, GThreadFunc func, gpointer data, GError **error)
{
    return may_have-- > 0 ? __real_g_thread_try_new(name, func, data, error) : NULL;
}

static gpointer work(gpointer data)
{
    Work *done = data;

    g_atomic_int_inc(&done->begun);
    AWAIT_STATE(g_atomic_int_get(&done->begun) >= done->together, "%d threads",
                g_atomic_int_get(&done->begun));
    g_atomic_int_inc(&done->ended);
    return NULL;
}

/* How many work at a time when @count are asked for and the system has @threads of them. */
static void assert_works(unsigned count, gint threads, gint expected)
{
    Work done = {.together = expected};

    may_have = threads;
    cst_threads_run(work, &done, count);
    assert_int_equal(done.begun, expected);
    assert_int_equal(done.ended, expected);
}

static void test_all_work_at_once(void **state)
{
    assert_works(1, CST_THREADS_MAX, 1);
    assert_works(4, CST_THREADS_MAX, 4);
    assert_works(CST_THREADS_MAX, CST_THREADS_MAX, CST_THREADS_MAX);
    assert_works(CST_THREADS_MAX + 1, 2 * CST_THREADS_MAX, CST_THREADS_MAX);
}

static void test_threads_that_do_not_start_are_replaced_by_fewer(void **state)
{
    assert_works(4, 2, 3);
    assert_works(4, 0, 1);
}

/* Counts the threads that are in a dry run. All of them must take part. */
static gpointer note_dry_run(gpointer data)
{
    Work *done = data;

    work(done);
    if (cst_dry_run())
        g_atomic_int_dec_and_test(&done->ended);
    return NULL;
}

static void test_threads_are_in_a_dry_run_if_the_caller_is(void **state)
{
    Work real = {.together = 8}, dry = {.together = 8};

    may_have = CST_THREADS_MAX;
    cst_threads_run(note_dry_run, &real, 8);
    assert_int_equal(real.ended, 8);
    cst_dry_run_set(TRUE);
    cst_threads_run(note_dry_run, &dry, 8);
    assert_true(cst_dry_run());
    cst_dry_run_set(FALSE);
    assert_int_equal(dry.begun, 8);
    assert_int_equal(dry.ended, 0);
}

static gpointer note_request(gpointer data)
{
    const CstLogContext *context = cst_log_context();

    if (context && context->connection == 12)
        g_atomic_int_inc((gint *)data);
    cst_log_set_volume("of this thread");
    return NULL;
}

static void test_they_log_for_the_same_request(void **state)
{
    CstLogContext context = {.connection = 12};
    gint noted = 0;

    may_have = CST_THREADS_MAX;
    cst_log_push(&context);
    cst_threads_run(note_request, &noted, 8);
    cst_log_pop(&context);
    assert_int_equal(noted, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_work_at_once),
        cmocka_unit_test(test_threads_that_do_not_start_are_replaced_by_fewer),
        cmocka_unit_test(test_threads_are_in_a_dry_run_if_the_caller_is),
        cmocka_unit_test(test_they_log_for_the_same_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
