/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/liveness.h>
#include <base/log_context.h>

#define PATIENCE_US (200 * G_TIME_SPAN_MILLISECOND)
#define PERIOD_US   (20 * G_TIME_SPAN_MILLISECOND)
#define LONG_US     (20 * G_TIME_SPAN_SECOND)

/* Storage whose probes hang when a test wants it. */
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
        assert_true(g_cond_wait_until(&storage->cond, &storage->lock, until));
    g_mutex_unlock(&storage->lock);
}

static CstLiveness *liveness_of(Storage *storage)
{
    CstProbe probe = {.touch = touch, .data = storage, .free_data = set_freed};

    return cst_liveness_new(&probe, "the storage of pool 'p'");
}

/* Asks until the answer is the expected one. */
static void await_answer(CstLiveness *liveness, gboolean answers)
{
    gint64 until = g_get_monotonic_time() + LONG_US;

    while (cst_liveness_check(liveness, NULL) != answers && g_get_monotonic_time() < until)
        g_usleep(1000);
    assert_int_equal(cst_liveness_check(liveness, NULL), answers);
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
    while (!storage->freed && g_cond_wait_until(&storage->cond, &storage->lock, until))
        continue;
    assert_true(storage->freed);
    g_mutex_unlock(&storage->lock);
    g_free(storage->why);
    g_free(storage);
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void storage_that_never_hangs_costs_nothing(void **state)
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

static void calls_are_let_in_while_it_answers(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    CstLivenessCall call;

    assert_true(cst_liveness_enter(liveness, &call, NULL));
    await_probes(storage, 3);
    assert_true(cst_liveness_check(liveness, NULL));
    cst_liveness_leave(liveness, &call);
    cst_liveness_unref(liveness);
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

/* One probe at a time: threads that hang must not become more and more. */
static void calls_are_refused_at_once_while_it_does_not(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    CstLivenessCall call;
    g_autoptr(GError) error = NULL;

    hang(storage, TRUE);
    assert_true(cst_liveness_check(liveness, NULL));
    await_answer(liveness, FALSE);
    g_usleep(2 * PATIENCE_US);
    assert_false(cst_liveness_enter(liveness, &call, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNREACHABLE));
    assert_string_equal(error->message, "the storage of pool 'p' has not answered for 0 s");
    assert_probes(storage, 1, 1);
    hang(storage, FALSE);
    await_answer(liveness, TRUE);
    assert_true(cst_liveness_enter(liveness, &call, NULL));
    cst_liveness_leave(liveness, &call);
    await_probes(storage, 2);
    cst_liveness_unref(liveness);
}

static void break_disk(Storage *storage, gboolean fails)
{
    g_mutex_lock(&storage->lock);
    storage->fails = fails;
    g_mutex_unlock(&storage->lock);
}

static void await_works(CstLiveness *liveness, gboolean works)
{
    gint64 until = g_get_monotonic_time() + LONG_US;

    while (cst_liveness_works(liveness, NULL) != works && g_get_monotonic_time() < until)
        g_usleep(1000);
    assert_int_equal(cst_liveness_works(liveness, NULL), works);
}

/* Calls are let in: what they need may not be broken, and if it is, they say so best. */
static void storage_that_answers_with_an_error_does_not_work(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    CstLivenessCall call;
    g_autoptr(GError) error = NULL;

    break_disk(storage, TRUE);
    await_works(liveness, FALSE);
    assert_false(cst_liveness_works(liveness, &error));
    assert_non_null(strstr(error->message, "the disk is broken"));
    assert_true(cst_liveness_check(liveness, NULL));
    assert_true(cst_liveness_enter(liveness, &call, NULL));
    cst_liveness_leave(liveness, &call);
    break_disk(storage, FALSE);
    await_works(liveness, TRUE);
    cst_liveness_unref(liveness);
}

/* No answer outweighs the error that came before. */
static void storage_that_fails_may_hang_then(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    g_autoptr(GError) error = NULL;

    break_disk(storage, TRUE);
    await_works(liveness, FALSE);
    hang(storage, TRUE);
    await_answer(liveness, FALSE);
    assert_false(cst_liveness_works(liveness, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNREACHABLE));
    hang(storage, FALSE);
    await_answer(liveness, TRUE);
    await_works(liveness, FALSE);
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

/* Each once; not those that have left, and not those that nobody waits for. */
static void calls_that_hang_are_told(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    g_autoptr(CstTask) task = task_of(storage);
    CstLogContext log;
    CstLivenessCall calls[4];

    cst_log_context_init(&log);
    hang(storage, TRUE);
    assert_true(cst_liveness_enter(liveness, &calls[0], NULL));
    log.task = task;
    cst_log_push(&log);
    for (int i = 1; i < 4; i++)
        assert_true(cst_liveness_enter(liveness, &calls[i], NULL));
    cst_liveness_leave(liveness, &calls[2]);
    cst_log_pop(&log);
    await_answer(liveness, FALSE);
    g_usleep(2 * PATIENCE_US);
    assert_int_equal(storage->told, 2);
    assert_non_null(strstr(storage->why, "has not answered"));
    for (int i = 0; i < 4; i++)
        if (i != 2)
            cst_liveness_leave(liveness, &calls[i]);
    cst_liveness_unref(liveness);
}

static Storage *given_up_in;

static void give_up(const GError *why)
{
    take_note(why, given_up_in);
}

/* Only with calls that hang: what nobody waits for is no reason to end. */
static void a_program_may_give_up(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    CstLivenessCall call;

    given_up_in = storage;
    cst_liveness_given_up = give_up;
    hang(storage, TRUE);
    assert_true(cst_liveness_check(liveness, NULL));
    await_answer(liveness, FALSE);
    hang(storage, FALSE);
    await_answer(liveness, TRUE);
    assert_int_equal(storage->told, 0);
    hang(storage, TRUE);
    assert_true(cst_liveness_enter(liveness, &call, NULL));
    await_answer(liveness, FALSE);
    cst_liveness_leave(liveness, &call);
    assert_int_equal(storage->told, 1);
    cst_liveness_given_up = NULL;
    cst_liveness_unref(liveness);
}

static void a_probe_that_hangs_keeps_nobody(void **state)
{
    Storage *storage = *state;
    CstLiveness *liveness = liveness_of(storage);
    gint64 before;

    hang(storage, TRUE);
    assert_true(cst_liveness_check(liveness, NULL));
    await_probes(storage, 1);
    before = g_get_monotonic_time();
    cst_liveness_unref(liveness);
    assert_true(g_get_monotonic_time() - before < LONG_US / 10);
    assert_false(storage->freed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(storage_that_never_hangs_costs_nothing),
        TEST(calls_are_let_in_while_it_answers),
        TEST(calls_are_refused_at_once_while_it_does_not),
        TEST(storage_that_answers_with_an_error_does_not_work),
        TEST(storage_that_fails_may_hang_then),
        TEST(calls_that_hang_are_told),
        TEST(a_program_may_give_up),
        TEST(a_probe_that_hangs_keeps_nobody),
    };

    cst_liveness_times = (struct CstLivenessTimes){.patience = PATIENCE_US, .period = PERIOD_US};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
