/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports that many callers share: their lifetime, and the effect of changes and failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/error.h>
#include <pool/report_cache.h>

#include "fake_wait.h"
#include "points.h"

/* --- reports ---------------------------------------------------------------------------------- */

/* The content of the storage when the report was made. */
typedef struct {
    gint refs;
    guint content;
} Report;

static gint living; /* reports with references */
static CstReportCache cache;

static gpointer report_ref(gpointer report)
{
    g_atomic_int_inc(&((Report *)report)->refs);
    return report;
}

static void report_unref(gpointer report)
{
    if (!g_atomic_int_dec_and_test(&((Report *)report)->refs))
        return;
    g_atomic_int_add(&living, -1);
    g_free(report);
}

static guint content; /* of the storage */
static gint reads;    /* calls of read_storage() */

static void change_storage(gpointer unused)
{
    content++;
    cst_report_cache_invalidate(&cache);
}

/* Called between the start and the end of the next read; may be NULL. */
static void (*during_read)(gpointer unused);
static gboolean agrees; /* the report is consistent */
static gint failures;   /* number of reads that fail */

static GMutex gate;
static GCond gate_changed;
static gboolean gate_closed; /* reads wait until it opens */

static void open_gate(void)
{
    g_mutex_lock(&gate);
    gate_closed = FALSE;
    g_cond_broadcast(&gate_changed);
    g_mutex_unlock(&gate);
}

static void await_reads(gint wanted)
{
    gint64 end = g_get_monotonic_time() + POINT_LIMIT_S * G_TIME_SPAN_SECOND;

    g_mutex_lock(&gate);
    while (reads < wanted)
        if (!g_cond_wait_until(&gate_changed, &gate, end))
            g_error("%d reads instead of %d", reads, wanted);
    g_mutex_unlock(&gate);
}

static gpointer read_storage(gpointer data, GError **error)
{
    guint changes = cst_report_cache_begin(&cache);
    void (*during)(gpointer unused) = g_steal_pointer(&during_read);
    Report *report = NULL;
    gboolean fails;

    g_mutex_lock(&gate);
    reads++;
    g_cond_broadcast(&gate_changed);
    while (gate_closed)
        g_cond_wait(&gate_changed, &gate);
    fails = failures > 0 && failures-- > 0;
    g_mutex_unlock(&gate);
    if (!fails) {
        report = g_new(Report, 1);
        *report = (Report){1, content};
        g_atomic_int_inc(&living);
    }
    if (during)
        during(NULL);
    g_mutex_lock(&cache.lock);
    cst_report_cache_end(&cache, report, changes, agrees);
    g_mutex_unlock(&cache.lock);
    if (fails)
        cst_fail(error, CST_ERROR_IO, "no report");
    return report;
}

static CstReportQuery query = {
    .fresh_us = G_TIME_SPAN_DAY, .wait_us = G_TIME_SPAN_DAY, .read = read_storage};

static int set_up(void **state)
{
    content = 1;
    reads = failures = living = 0;
    during_read = NULL;
    agrees = TRUE;
    gate_closed = FALSE;
    query = (CstReportQuery){
        .fresh_us = G_TIME_SPAN_DAY, .wait_us = G_TIME_SPAN_DAY, .read = read_storage};
    cache = (CstReportCache){0};
    cst_report_cache_init(&cache, report_ref, report_unref);
    return 0;
}

/* No report is left, and no read is running. */
static int tear_down(void **state)
{
    assert_int_equal(cache.reports, 0);
    assert_false(cache.reporting);
    cst_report_cache_clear(&cache);
    assert_int_equal(living, 0);
    return 0;
}

/* Requests a report. Returns its content, or 0 on failure. */
static guint ask(void)
{
    g_autoptr(GError) error = NULL;
    Report *report = cst_report_cache_get(&cache, &query, &error);
    guint found = report ? report->content : 0;

    assert_true((report == NULL) == (error != NULL));
    if (report)
        report_unref(report);
    return found;
}

static gpointer ask_in_thread(gpointer unused)
{
    return GUINT_TO_POINTER(ask());
}

/* --- lifetime of a report --------------------------------------------------------------------- */

static void fresh_report_answers_until_a_change(void **state)
{
    assert_int_equal(ask(), 1);
    assert_int_equal(ask(), 1);
    assert_int_equal(reads, 1);
    change_storage(NULL);
    assert_int_equal(ask(), 2);
    assert_int_equal(ask(), 2);
    assert_int_equal(reads, 2);
}

static void report_answers_for_its_time_only(void **state)
{
    query.fresh_us = 0;
    assert_int_equal(ask(), 1);
    assert_int_equal(ask(), 1);
    assert_int_equal(reads, 2);
}

static void report_that_a_change_overtook_answers_its_reader_only(void **state)
{
    during_read = change_storage;
    assert_int_equal(ask(), 1);
    assert_int_equal(ask(), 2);
    assert_int_equal(ask(), 2);
    assert_int_equal(reads, 2);
}

static void report_that_disagrees_with_itself_answers_its_reader_only(void **state)
{
    agrees = FALSE;
    assert_int_equal(ask(), 1);
    agrees = TRUE;
    assert_int_equal(ask(), 1);
    assert_int_equal(ask(), 1);
    assert_int_equal(reads, 2);
}

static gboolean is_newer(gpointer report, gpointer data)
{
    return ((Report *)report)->content >= GPOINTER_TO_UINT(data);
}

static void report_that_does_not_serve_is_made_anew(void **state)
{
    query.serves = is_newer;
    query.data = GUINT_TO_POINTER(1);
    assert_int_equal(ask(), 1);
    assert_int_equal(ask(), 1);
    assert_int_equal(reads, 1);
    query.data = GUINT_TO_POINTER(2);
    content = 2; /* changed by another program */
    assert_int_equal(ask(), 2);
    assert_int_equal(ask(), 2);
    assert_int_equal(reads, 2);
}

static void last_report_stays_however_old(void **state)
{
    Report *report;

    assert_null(cst_report_cache_last(&cache));
    assert_int_equal(ask(), 1);
    change_storage(NULL);
    failures = 1;
    assert_int_equal(ask(), 0);
    report = cst_report_cache_last(&cache);
    assert_int_equal(report->content, 1);
    report_unref(report);
}

/* --- waiting for the report of another thread ------------------------------------------------- */

#define WAITERS 3

/* Starts a reader, and waiters for its report. */
static void start_threads(GThread *threads[1 + WAITERS])
{
    gate_closed = TRUE;
    threads[0] = g_thread_new("reader", ask_in_thread, NULL);
    await_reads(1);
    point_watch("report_cache.wait");
    for (int i = 1; i <= WAITERS; i++)
        threads[i] = g_thread_new("waiter", ask_in_thread, NULL);
    point_await("report_cache.wait", WAITERS);
}

static void assert_answers(GThread *threads[1 + WAITERS], guint of_reader, guint of_waiters)
{
    open_gate();
    assert_int_equal(GPOINTER_TO_UINT(g_thread_join(threads[0])), of_reader);
    for (int i = 1; i <= WAITERS; i++)
        assert_int_equal(GPOINTER_TO_UINT(g_thread_join(threads[i])), of_waiters);
    points_clear();
}

static void waiters_share_one_report(void **state)
{
    GThread *threads[1 + WAITERS];

    start_threads(threads);
    assert_answers(threads, 1, 1);
    assert_int_equal(reads, 1);
}

/* The first waiter reads, and the other ones wait for that report. */
static void waiters_do_not_use_a_report_from_before_a_change(void **state)
{
    GThread *threads[1 + WAITERS];

    start_threads(threads);
    change_storage(NULL);
    content = 5; /* seen by the reader, which started before the change */
    assert_answers(threads, 5, 5);
    assert_int_equal(reads, 2);
}

/* The change arrives when the report is complete and the waiters do not have it yet. */
static void change_after_the_read_makes_waiters_read_again(void **state)
{
    GThread *threads[1 + WAITERS];

    start_threads(threads);
    point_run("report_cache.read", change_storage, NULL);
    assert_answers(threads, 1, 2);
    assert_int_equal(reads, 2);
}

static void one_waiter_reads_after_a_failure(void **state)
{
    GThread *threads[1 + WAITERS];

    failures = 1;
    start_threads(threads);
    assert_answers(threads, 0, 1);
    assert_int_equal(reads, 2);
}

static void each_waiter_fails_by_itself(void **state)
{
    GThread *threads[1 + WAITERS];

    failures = 1 + WAITERS;
    start_threads(threads);
    assert_answers(threads, 0, 0);
    assert_int_equal(reads, 1 + WAITERS);
    assert_int_equal(ask(), 1);
}

static void wake_next(gpointer unused)
{
    wait_wake_next();
}

static void waiter_waits_again_without_a_report(void **state)
{
    GThread *reader, *waiter;

    gate_closed = TRUE;
    reader = g_thread_new("reader", ask_in_thread, NULL);
    await_reads(1);
    point_run("report_cache.wait", wake_next, NULL);
    waiter = g_thread_new("waiter", ask_in_thread, NULL);
    point_await("report_cache.wait", 2);
    open_gate();
    assert_int_equal(GPOINTER_TO_UINT(g_thread_join(reader)), 1);
    assert_int_equal(GPOINTER_TO_UINT(g_thread_join(waiter)), 1);
    points_clear();
    assert_int_equal(reads, 1);
}

/* A newer report exists when the hanging reader returns. */
static void waiter_reads_when_its_time_is_over(void **state)
{
    GThread *reader, *waiter;

    gate_closed = TRUE;
    reader = g_thread_new("reader", ask_in_thread, NULL);
    await_reads(1);
    query.wait_us = 0;
    waiter = g_thread_new("waiter", ask_in_thread, NULL);
    await_reads(2);
    open_gate();
    assert_int_equal(GPOINTER_TO_UINT(g_thread_join(reader)), 1);
    assert_int_equal(GPOINTER_TO_UINT(g_thread_join(waiter)), 1);
    assert_int_equal(ask(), 1);
    assert_int_equal(reads, 2);
}

/* --- estimates after our own changes ---------------------------------------------------------- */

static void account_for(int64_t bytes)
{
    change_storage(NULL);
    cst_report_cache_account(&cache, bytes);
}

/* Requests an estimate within @estimate_us. Returns FALSE without an estimate. */
static gboolean estimate(gint64 estimate_us, int64_t *ret_taken, gint64 *ret_until)
{
    Report *report =
        cst_report_cache_estimate(&cache, G_TIME_SPAN_DAY, estimate_us, ret_taken, ret_until);

    if (report)
        report_unref(report);
    return report != NULL;
}

static void changes_that_are_accounted_for_are_estimated(void **state)
{
    int64_t taken;
    gint64 until, again;

    assert_false(estimate(G_TIME_SPAN_DAY, &taken, &until));
    assert_int_equal(ask(), 1);
    assert_true(estimate(0, &taken, &until));
    assert_int_equal(taken, 0);
    assert_int_equal(until, 0);
    account_for(100);
    assert_true(estimate(G_TIME_SPAN_DAY, &taken, &until));
    assert_int_equal(taken, 100);
    for (gint64 now = g_get_monotonic_time(); g_get_monotonic_time() == now;)
        continue;
    account_for(-30);
    assert_true(estimate(G_TIME_SPAN_DAY, &taken, &again));
    assert_int_equal(taken, 70);
    /* The time starts with the first of the changes. */
    assert_int_equal(again, until);
    assert_false(estimate(0, &taken, &until));
    assert_int_equal(taken, 0);
    /* A change of unknown size ends the estimate. A new report starts a new one. */
    change_storage(NULL);
    assert_false(estimate(G_TIME_SPAN_DAY, &taken, &until));
    assert_int_equal(ask(), 4);
    account_for(5);
    assert_true(estimate(G_TIME_SPAN_DAY, &taken, &until));
    assert_int_equal(taken, 5);
}

static void account_during_read(gpointer unused)
{
    account_for(100);
}

/* It is unknown whether the report contains the change. */
static void change_that_overtook_the_report_is_not_estimated(void **state)
{
    int64_t taken;
    gint64 until;

    during_read = account_during_read;
    assert_int_equal(ask(), 1);
    assert_false(estimate(G_TIME_SPAN_DAY, &taken, &until));
    account_for(5);
    assert_false(estimate(G_TIME_SPAN_DAY, &taken, &until));
    assert_int_equal(ask(), 3);
    account_for(5);
    assert_true(estimate(G_TIME_SPAN_DAY, &taken, &until));
    assert_int_equal(taken, 5);
}

/* The space of an inconsistent report is unknown, regardless of accounted changes. */
static void report_that_disagrees_with_itself_is_not_estimated(void **state)
{
    int64_t taken;
    gint64 until;

    assert_int_equal(ask(), 1);
    account_for(100);
    agrees = FALSE;
    assert_int_equal(ask(), 2);
    assert_false(estimate(G_TIME_SPAN_DAY, &taken, &until));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(fresh_report_answers_until_a_change),
        TEST(report_answers_for_its_time_only),
        TEST(report_that_a_change_overtook_answers_its_reader_only),
        TEST(report_that_disagrees_with_itself_answers_its_reader_only),
        TEST(report_that_does_not_serve_is_made_anew),
        TEST(last_report_stays_however_old),
        TEST(waiters_share_one_report),
        TEST(waiters_do_not_use_a_report_from_before_a_change),
        TEST(change_after_the_read_makes_waiters_read_again),
        TEST(one_waiter_reads_after_a_failure),
        TEST(each_waiter_fails_by_itself),
        TEST(waiter_waits_again_without_a_report),
        TEST(waiter_reads_when_its_time_is_over),
        TEST(changes_that_are_accounted_for_are_estimated),
        TEST(change_that_overtook_the_report_is_not_estimated),
        TEST(report_that_disagrees_with_itself_is_not_estimated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
