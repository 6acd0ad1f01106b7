/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Caches the last report of a tool on a pool's storage. It serves backends with tools that need as
 * long for a report as for a change. One report answers all requests for current data for a short
 * time, unless a change was made since the report began. A report is an immutable object with a
 * reference count.
 *
 * Any thread. The lock guards the members, and the backend's related data. It is not held while a
 * tool runs.
 */
typedef struct {
    GMutex lock;
    gpointer (*ref)(gpointer report);
    void (*unref)(gpointer report);
    gpointer last;  /**< the last report, of any age; NULL: no report */
    gint64 last_at; /**< time when it was stored; 0: it is outdated */
    guint reports;  /**< reports in progress */
    guint changes;  /**< count of changes */

    /* private */
    GCond cond;
    gboolean reporting; /* a thread makes a report, and other threads wait for it */
    guint accounted;    /* the count of accounted changes */
    gint64 taken_at;    /* time of the first accounted change since the last report; 0: no change */
    int64_t taken;      /* bytes allocated by these changes */
} CstReportCache;

/** A request for a report that may be cached. */
typedef struct {
    gint64 fresh_us; /**< maximum age of a cached report */
    gint64 wait_us;  /**< maximum wait for a report in progress in another thread */
    /** Whether the report answers the request, or no later report will; NULL: each report does. */
    gboolean (*serves)(gpointer report, gpointer data);
    /** Makes a report and stores it in the cache. Returns a new reference. */
    gpointer (*read)(gpointer data, GError **error);
    gpointer data;
} CstReportQuery;

/** Initialises a cache of reports that are referenced by @ref and released by @unref. */
void cst_report_cache_init(CstReportCache *cache, gpointer (*ref)(gpointer report),
                           void (*unref)(gpointer report));
/** Frees the members of the cache, not @cache itself. */
void cst_report_cache_clear(CstReportCache *cache);

/** Marks the last report as outdated after a change. */
void cst_report_cache_invalidate(CstReportCache *cache);
/** Like cst_report_cache_invalidate(); the caller holds the lock. */
void cst_report_cache_forget(CstReportCache *cache);

/** Begins a report. Returns the count of changes for cst_report_cache_end(). */
guint cst_report_cache_begin(CstReportCache *cache);
/**
 * Ends a report; the caller holds the lock. Stores @report (NULL: the tool failed). The report is
 * fresh only if @agrees and no change was made since it began, because it may lack such a change.
 */
void cst_report_cache_end(CstReportCache *cache, gpointer report, guint changes, gboolean agrees);

/**
 * Returns a new reference to the last report if it is fresh, or NULL. The caller holds the lock.
 */
gpointer cst_report_cache_fresh(const CstReportCache *cache, gint64 fresh_us);
/** Answers @query by the last report, or by a new report. Returns a new reference. */
gpointer cst_report_cache_get(CstReportCache *cache, const CstReportQuery *query, GError **error);
/** Returns a new reference to the last report, of any age. NULL if the cache has no report. */
gpointer cst_report_cache_last(CstReportCache *cache);

/** Reports that one change allocated @bytes of the storage's space (negative: freed them). */
void cst_report_cache_account(CstReportCache *cache, int64_t bytes);
/**
 * Returns the last report if it is fresh (*ret_until is 0), or if only accounted changes followed.
 * In the second case the changes allocated *ret_taken bytes, and the estimate is valid until
 * *ret_until: @estimate_us after the first of them. Returns NULL if an estimate is not possible,
 * else a new reference.
 */
gpointer cst_report_cache_estimate(CstReportCache *cache, gint64 fresh_us, gint64 estimate_us,
                                   int64_t *ret_taken, gint64 *ret_until);
