/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Caches the last report on a pool's storage, and limits its use (pool/report_cache.h).
 *
 * last_at 0 means that the last report is outdated. It is kept for callers that accept an estimate.
 */
#include <pool/report_cache.h>

#include <base/test_point.h>

void cst_report_cache_init(CstReportCache *cache, gpointer (*ref)(gpointer report),
                           void (*unref)(gpointer report))
{
    g_mutex_init(&cache->lock);
    g_cond_init(&cache->cond);
    cache->ref = ref;
    cache->unref = unref;
}

void cst_report_cache_clear(CstReportCache *cache)
{
    if (cache->last)
        cache->unref(cache->last);
    g_cond_clear(&cache->cond);
    g_mutex_clear(&cache->lock);
}

/* --- changes ---------------------------------------------------------------------------------- */

/* Also counts the change, so that a report begun earlier is not considered fresh. */
void cst_report_cache_forget(CstReportCache *cache)
{
    cache->last_at = 0;
    cache->changes++;
}

void cst_report_cache_invalidate(CstReportCache *cache)
{
    g_mutex_lock(&cache->lock);
    cst_report_cache_forget(cache);
    g_mutex_unlock(&cache->lock);
}

/* --- reading ---------------------------------------------------------------------------------- */

guint cst_report_cache_begin(CstReportCache *cache)
{
    guint changes;

    g_mutex_lock(&cache->lock);
    cache->reports++;
    changes = cache->changes;
    g_mutex_unlock(&cache->lock);
    return changes;
}

void cst_report_cache_end(CstReportCache *cache, gpointer report, guint changes, gboolean agrees)
{
    cache->reports--;
    if (!report)
        return;
    if (cache->last)
        cache->unref(cache->last);
    cache->last = cache->ref(report);
    cache->last_at = changes == cache->changes && agrees ? g_get_monotonic_time() : 0;
    cache->accounted = changes;
    cache->taken = 0;
    cache->taken_at = 0;
}

gpointer cst_report_cache_fresh(const CstReportCache *cache, gint64 fresh_us)
{
    return cache->last_at && g_get_monotonic_time() - cache->last_at < fresh_us
               ? cache->ref(cache->last)
               : NULL;
}

/* Returns the last report if it is fresh and answers the query. The caller holds the lock. */
static gpointer answer_now(const CstReportCache *cache, const CstReportQuery *query)
{
    gpointer report = cst_report_cache_fresh(cache, query->fresh_us);

    if (!report || !query->serves || query->serves(report, query->data))
        return report;
    cache->unref(report);
    return NULL;
}

/*
 * Waits for the report in progress in another thread. Returns NULL if no thread makes a report, or
 * it takes too long. The caller holds the lock.
 */
static gpointer wait_for_answer(CstReportCache *cache, const CstReportQuery *query)
{
    gint64 until = g_get_monotonic_time() + query->wait_us;
    gpointer report;

    while (!(report = answer_now(cache, query)) && cache->reporting) {
        CST_TEST_POINT("report_cache.wait");
        if (!g_cond_wait_until(&cache->cond, &cache->lock, until))
            break;
    }
    return report;
}

gpointer cst_report_cache_get(CstReportCache *cache, const CstReportQuery *query, GError **error)
{
    gpointer report;

    g_mutex_lock(&cache->lock);
    report = wait_for_answer(cache, query);
    /* Only the first thread without a report reads one; after a timeout several threads may. */
    cache->reporting = cache->reporting || !report;
    g_mutex_unlock(&cache->lock);
    if (report)
        return report;
    report = query->read(query->data, error);
    CST_TEST_POINT("report_cache.read");
    g_mutex_lock(&cache->lock);
    cache->reporting = FALSE;
    g_cond_broadcast(&cache->cond);
    g_mutex_unlock(&cache->lock);
    return report;
}

gpointer cst_report_cache_last(CstReportCache *cache)
{
    gpointer report;

    g_mutex_lock(&cache->lock);
    report = cache->last ? cache->ref(cache->last) : NULL;
    g_mutex_unlock(&cache->lock);
    return report;
}

/* --- estimates: the last report and our own changes ------------------------------------------- */

void cst_report_cache_account(CstReportCache *cache, int64_t bytes)
{
    g_mutex_lock(&cache->lock);
    cache->accounted++;
    cache->taken += bytes;
    if (cache->taken_at == 0)
        cache->taken_at = g_get_monotonic_time();
    g_mutex_unlock(&cache->lock);
}

/* Whether all changes since the last report are accounted for. The caller holds the lock. */
static gboolean is_accounted(const CstReportCache *cache, gint64 estimate_us)
{
    return cache->taken_at && cache->accounted == cache->changes &&
           g_get_monotonic_time() - cache->taken_at < estimate_us;
}

gpointer cst_report_cache_estimate(CstReportCache *cache, gint64 fresh_us, gint64 estimate_us,
                                   int64_t *ret_taken, gint64 *ret_until)
{
    gpointer report;

    *ret_taken = *ret_until = 0;
    g_mutex_lock(&cache->lock);
    report = cst_report_cache_fresh(cache, fresh_us);
    if (!report && is_accounted(cache, estimate_us)) {
        report = cache->ref(cache->last);
        *ret_taken = cache->taken;
        *ret_until = cache->taken_at + estimate_us;
    }
    g_mutex_unlock(&cache->lock);
    return report;
}
