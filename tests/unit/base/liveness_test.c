/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "points.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/liveness.h>
#include <base/log_context.h>
#include <base/test_point.h>

/* Neither is over by itself. */
#define PATIENCE_US G_TIME_SPAN_HOUR
#define PERIOD_US   (3 * G_TIME_SPAN_HOUR)
#define LONG_US     (POINT_LIMIT_S * G_TIME_SPAN_SECOND)

/* --- the keeper's waits ----------------------------------------------------------------------- */

/* Atomic: waits that end at once, as if that time was over. */
static gint patience_over, period_over;
/* Atomic: the next wait for a probe ends with its time and the answer together. */
static gint answer_is_late;
static GMutex waits_lock; /* guards the variables below */
static GCond waits_cond;
static GMutex *keeper_lock; /* of the storage whose keeper waits; NULL: no keeper has waited yet */
static GCond *keeper_cond;

gboolean __real_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end);
gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end);

static gboolean take_one(gint *count)
{
    return g_atomic_int_get(count) > 0 && g_atomic_int_add(count, -1) > 0;
}

gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
    gint64 left = end - g_get_monotonic_time();
    gboolean is_period = left > (PATIENCE_US + PERIOD_US) / 2;
    gint *is_over = is_period ? &period_over : &patience_over;

    /* A wait of the test's own (points.c). */
    if (left < PATIENCE_US / 2)
        return __real_g_cond_wait_until(cond, mutex, end);
    g_mutex_lock(&waits_lock);
    keeper_lock = mutex;
    keeper_cond = cond;
    g_cond_broadcast(&waits_cond);
    g_mutex_unlock(&waits_lock);
    if (take_one(is_over))
        return FALSE;
    __real_g_cond_wait_until(cond, mutex, end);
    return !take_one(is_over) && (is_period || !take_one(&answer_is_late));
}

/* Sets *@is_over, which may be NULL, and wakes the keeper, which has the lock until it waits. */
static void end_wait(gint *is_over)
{
    gint64 end = g_get_monotonic_time() + POINT_LIMIT_S * G_TIME_SPAN_SECOND;
    GMutex *mutex;

    g_mutex_lock(&waits_lock);
    while (!keeper_lock)
        assert_true(__real_g_cond_wait_until(&waits_cond, &waits_lock, end));
    mutex = keeper_lock;
    g_mutex_unlock(&waits_lock);
    g_mutex_lock(mutex);
    if (is_over)
        g_atomic_int_inc(is_over);
    g_cond_broadcast(keeper_cond);
    g_mutex_unlock(mutex);
}

/* A wake-up without a reason, as POSIX allows. */
static void wake_keeper(void)
{
    end_wait(NULL);
}

/* Threads that can't be made. */
static gint no_threads;

GThread *__real_g_thread_try_new(const char *name, GThreadFunc func, gpointer data, GError **error);
GThread *__wrap_g_thread_try_new(const char *name, GThreadFunc func, gpointer data, GError **error);

GThread *__wrap_g_thread_try_new(const char *name, GThreadFunc func, gpointer data, GError **error)
{
    return take_one(&no_threads) ? NULL : __real_g_thread_try_new(name, func, data, error);
}

/* --- storage ---------------------------------------------------------------------------------- */

/* Storage whose probes hang on demand. */
typedef struct {
    GMutex lock;
    GCond cond;
    gboolean hangs, fails;
    guint begun, running, most; /* probes; how many ran at once */
    guint told;
    gboolean freed;
    char *why;
} Storage;

static gboolean touch(gpointer data, GError **error)
{
    Storage *storage = data;
    gboolean fails;

    g_mutex_lock(&storage->lock);
    storage->begun++;
    storage->running++;
    storage->most = MAX(storage->most, storage->running);
    g_cond_broadcast(&storage->cond);
    while (storage->hangs)
        g_cond_wait(&storage->cond, &storage->lock);
    storage->running--;
    fails = storage->fails;
    g_mutex_unlock(&storage->lock);
    return !fails || cst_fail_errno(error, EIO, "the disk is broken");
}

static void set_freed(gpointer data)
{
    Storage *storage = data;

    g_mutex_lock(&storage->lock);
    storage->freed = TRUE;
    g_cond_broadcast(&storage->cond);
    g_mutex_unlock(&storage->lock);
}

static void hang(Storage *storage, gboolean hangs)
{
    g_mutex_lock(&storage->lock);
    storage->hangs = hangs;
    g_cond_broadcast(&storage->cond);
    g_mutex_unlock(&storage->lock);
}

static void await_probes(Storage *storage, guint begun)
{
    gint64 until = g_get_monotonic_time() + LONG_US;

    g_mutex_lock(&storage->lock);
    while (storage->begun < begun)
        assert_true(__real_g_cond_wait_until(&storage->cond, &storage->lock, until));
    g_mutex_unlock(&storage->lock);
}

static CstLiveness *liveness_of(Storage *storage)
{
    CstProbe probe = {.touch = touch, .data = storage, .free_data = set_freed};

    return cst_liveness_new(&probe, "the storage of pool 'p'");
}

/* Before the keeper starts. */
static void watch_keeper(void)
{
    g_atomic_int_set(&patience_over, 0);
    g_atomic_int_set(&period_over, 0);
    g_atomic_int_set(&answer_is_late, 0);
    keeper_lock = NULL;
    point_watch("liveness.probe.wait");
    point_watch("liveness.silent.wait");
    point_watch("liveness.period.wait");
}

static void clear_keeper(void)
{
    /* Not each test comes to each wait. */
    cst_test_point_pass("liveness.period.wait");
    cst_test_point_pass("liveness.probe.wait");
    cst_test_point_pass("liveness.silent.wait");
    points_clear();
}

/* Waits until the @count'th probe has returned: the keeper waits for the next period. */
static void await_answer_of(guint count)
{
    point_await("liveness.period.wait", count);
}

/* Waits until the running probe hangs for longer than the limit. */
static void await_silence(void)
{
    guint passed = point_passed("liveness.silent.wait");

    end_wait(&patience_over);
    point_await("liveness.silent.wait", passed + 1);
}

static int set_up(void **state)
{
    Storage *storage = g_new0(Storage, 1);

    g_mutex_init(&storage->lock);
    g_cond_init(&storage->cond);
    *state = storage;
    return 0;
}

/* Ends with the last probe. */
static int tear_down(void **state)
{
    Storage *storage = *state;
    gint64 until = g_get_monotonic_time() + LONG_US;

    hang(storage, FALSE);
    g_mutex_lock(&storage->lock);
    while (!storage->freed && __real_g_cond_wait_until(&storage->cond, &storage->lock, until))
        continue;
    assert_true(storage->freed);
    g_mutex_unlock(&storage->lock);
    g_free(storage->why);
    g_free(storage);
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void storage_without_liveness_is_always_accepted(void **state)
{
    CstLivenessCall call;

    assert_true(cst_liveness_enter(NULL, &call, NULL));
    cst_liveness_leave(NULL, &call);
    assert_true(cst_liveness_check(NULL, NULL));
    assert_true(cst_liveness_works(NULL, NULL));
    cst_liveness_unref(NULL);
    cst_liveness_unref(liveness_of(*state));
    assert_int_equal(((Storage *)*state)->begun, 0);
}

static void assert_probes(Storage *storage, guint most, guint begun)
{
    guint most_now, begun_now;

    g_mutex_lock(&storage->lock);
    most_now = storage->most;
    begun_now = storage->begun;
    g_mutex_unlock(&storage->lock);
    assert_int_equal(most_now, most);
    assert_int_equal(begun_now, begun);
}

/* A wake-up does not end the period. */
static void calls_are_let_in_while_it_answers(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    CstLivenessCall call;

    watch_keeper();
    assert_true(cst_liveness_enter(liveness, &call, NULL));
    for (guint i = 1; i <= 3; i++) {
        guint passed;

        await_answer_of(2 * i - 1);
        passed = point_passed("liveness.period.wait");
        assert_probes(storage, 1, i);
        wake_keeper();
        point_await("liveness.period.wait", passed + 1);
        assert_probes(storage, 1, i);
        end_wait(&period_over);
    }
    await_probes(storage, 4);
    assert_true(cst_liveness_check(liveness, NULL));
    cst_liveness_leave(liveness, &call);
    await_answer_of(7);
    clear_keeper();
    cst_liveness_unref(liveness);
}

/* At most one probe runs at a time, so that hanging threads do not accumulate. */
static void calls_are_refused_at_once_while_it_does_not(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    CstLivenessCall call;
    g_autoptr(GError) error = NULL;

    watch_keeper();
    hang(storage, TRUE);
    assert_true(cst_liveness_check(liveness, NULL));
    point_await("liveness.probe.wait", 1);
    await_probes(storage, 1);
    /* A wake-up is no silence, and later no answer. */
    wake_keeper();
    point_await("liveness.probe.wait", 2);
    assert_true(cst_liveness_check(liveness, NULL));
    await_silence();
    wake_keeper();
    point_await("liveness.silent.wait", 2);
    assert_false(cst_liveness_enter(liveness, &call, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNREACHABLE));
    assert_true(g_str_has_prefix(error->message, "the storage of pool 'p' has not answered for "));
    assert_false(cst_liveness_check(liveness, NULL));
    assert_probes(storage, 1, 1);
    hang(storage, FALSE);
    await_answer_of(1);
    assert_true(cst_liveness_enter(liveness, &call, NULL));
    cst_liveness_leave(liveness, &call);
    end_wait(&period_over);
    await_answer_of(2);
    assert_probes(storage, 1, 2);
    clear_keeper();
    cst_liveness_unref(liveness);
}

/* The limit is over when the answer has come, and the keeper has not locked yet. */
static void answer_that_comes_with_the_end_of_patience_counts(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);

    watch_keeper();
    hang(storage, TRUE);
    assert_true(cst_liveness_check(liveness, NULL));
    point_await("liveness.probe.wait", 1);
    await_probes(storage, 1);
    g_atomic_int_set(&answer_is_late, 1);
    hang(storage, FALSE);
    await_answer_of(1);
    assert_int_equal(g_atomic_int_get(&answer_is_late), 0);
    assert_true(cst_liveness_check(liveness, NULL));
    clear_keeper();
    cst_liveness_unref(liveness);
}

/* The next call tries again, and no reference is lost: the storage is freed at the end. */
static void thread_that_cannot_be_made_is_tried_again(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);

    watch_keeper();
    g_atomic_int_set(&no_threads, 1);
    assert_true(cst_liveness_check(liveness, NULL));
    assert_int_equal(g_atomic_int_get(&no_threads), 0);
    g_atomic_int_set(&no_threads, 0);
    assert_true(cst_liveness_check(liveness, NULL));
    await_answer_of(1);
    assert_probes(storage, 1, 1);
    g_atomic_int_set(&no_threads, 1);
    end_wait(&period_over);
    await_answer_of(2);
    assert_probes(storage, 1, 1);
    assert_true(cst_liveness_check(liveness, NULL));
    end_wait(&period_over);
    await_answer_of(3);
    assert_probes(storage, 1, 2);
    clear_keeper();
    cst_liveness_unref(liveness);
}

static void break_disk(Storage *storage, gboolean fails)
{
    g_mutex_lock(&storage->lock);
    storage->fails = fails;
    g_mutex_unlock(&storage->lock);
}

/*
 * Calls are admitted, because their part of the storage may work. If it does not, they report the
 * best error.
 */
static void storage_that_answers_with_an_error_does_not_work(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    CstLivenessCall call;
    g_autoptr(GError) error = NULL;

    watch_keeper();
    break_disk(storage, TRUE);
    cst_liveness_works(liveness, NULL);
    await_answer_of(1);
    assert_false(cst_liveness_works(liveness, &error));
    assert_non_null(strstr(error->message, "the disk is broken"));
    assert_true(cst_liveness_check(liveness, NULL));
    assert_true(cst_liveness_enter(liveness, &call, NULL));
    cst_liveness_leave(liveness, &call);
    break_disk(storage, FALSE);
    end_wait(&period_over);
    await_answer_of(2);
    assert_true(cst_liveness_works(liveness, NULL));
    clear_keeper();
    cst_liveness_unref(liveness);
}

/* No answer outweighs the error that came before. */
static void storage_that_fails_may_hang_later(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    g_autoptr(GError) error = NULL;

    watch_keeper();
    break_disk(storage, TRUE);
    cst_liveness_works(liveness, NULL);
    await_answer_of(1);
    hang(storage, TRUE);
    end_wait(&period_over);
    await_probes(storage, 2);
    await_silence();
    assert_false(cst_liveness_works(liveness, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNREACHABLE));
    hang(storage, FALSE);
    await_answer_of(2);
    assert_true(cst_liveness_check(liveness, NULL));
    assert_false(cst_liveness_works(liveness, NULL));
    clear_keeper();
    cst_liveness_unref(liveness);
}

static void take_note(const GError *why, gpointer data)
{
    Storage *storage = data;

    g_mutex_lock(&storage->lock);
    storage->told++;
    g_free(storage->why);
    storage->why = g_strdup(why->message);
    g_mutex_unlock(&storage->lock);
}

static CstTask *task_of(Storage *storage)
{
    CstTask *task = cst_task_new();

    cst_task_on_stuck(task, take_note, storage);
    return task;
}

/* Each hanging call is reported once. Ended calls and calls without a waiting caller are not. */
static void hanging_calls_are_reported(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    g_autoptr(CstTask) task = task_of(storage);
    CstLogContext log;
    CstLivenessCall calls[4];

    watch_keeper();
    cst_log_context_init(&log);
    hang(storage, TRUE);
    assert_true(cst_liveness_enter(liveness, &calls[0], NULL));
    log.task = task;
    cst_log_push(&log);
    for (int i = 1; i < 4; i++)
        assert_true(cst_liveness_enter(liveness, &calls[i], NULL));
    cst_liveness_leave(liveness, &calls[2]);
    cst_log_pop(&log);
    await_silence();
    wake_keeper();
    point_await("liveness.silent.wait", 2);
    assert_int_equal(storage->told, 2);
    assert_non_null(strstr(storage->why, "has not answered"));
    for (int i = 0; i < 4; i++)
        if (i != 2)
            cst_liveness_leave(liveness, &calls[i]);
    clear_keeper();
    cst_liveness_unref(liveness);
}

static Storage *given_up_in;

static void give_up(const GError *why)
{
    take_note(why, given_up_in);
}

/* Only with hanging calls: a call without a waiting caller does not end the program. */
static void a_program_may_give_up(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    CstLivenessCall call;

    watch_keeper();
    given_up_in = storage;
    cst_liveness_given_up = give_up;
    hang(storage, TRUE);
    assert_true(cst_liveness_check(liveness, NULL));
    await_silence();
    hang(storage, FALSE);
    await_answer_of(1);
    assert_int_equal(storage->told, 0);
    hang(storage, TRUE);
    assert_true(cst_liveness_enter(liveness, &call, NULL));
    end_wait(&period_over);
    await_probes(storage, 2);
    await_silence();
    cst_liveness_leave(liveness, &call);
    assert_int_equal(storage->told, 1);
    cst_liveness_given_up = NULL;
    clear_keeper();
    cst_liveness_unref(liveness);
}

static void hanging_probe_does_not_delay_its_owner(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);

    hang(storage, TRUE);
    assert_true(cst_liveness_check(liveness, NULL));
    await_probes(storage, 1);
    /* The probe hangs until the end of the test. */
    cst_liveness_unref(liveness);
    assert_probes(storage, 1, 1);
    assert_false(storage->freed);
}

static void await_fails_at_its_deadline_while_the_probe_hangs(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    g_autoptr(GError) error = NULL;

    hang(storage, TRUE);
    point_watch("liveness.answer.wait");
    assert_true(cst_liveness_await(NULL, 0, NULL));
    assert_false(cst_liveness_await(liveness, g_get_monotonic_time(), &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNREACHABLE));
    assert_true(g_str_has_prefix(error->message, "the storage of pool 'p' has not answered for "));
    hang(storage, FALSE);
    assert_true(cst_liveness_await(liveness, g_get_monotonic_time() + LONG_US, NULL));
    assert_true(point_passed("liveness.answer.wait") > 0);
    points_clear();
    assert_probes(storage, 1, 1);
    cst_liveness_unref(liveness);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(storage_without_liveness_is_always_accepted),
        TEST(calls_are_let_in_while_it_answers),
        TEST(calls_are_refused_at_once_while_it_does_not),
        TEST(answer_that_comes_with_the_end_of_patience_counts),
        TEST(thread_that_cannot_be_made_is_tried_again),
        TEST(storage_that_answers_with_an_error_does_not_work),
        TEST(storage_that_fails_may_hang_later),
        TEST(hanging_calls_are_reported),
        TEST(a_program_may_give_up),
        TEST(hanging_probe_does_not_delay_its_owner),
        TEST(await_fails_at_its_deadline_while_the_probe_hangs),
    };

    cst_liveness_times = (struct CstLivenessTimes){.patience = PATIENCE_US, .period = PERIOD_US};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
