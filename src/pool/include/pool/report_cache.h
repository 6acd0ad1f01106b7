/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The last report of a tool on a pool's storage, for backends whose tools take as long to report as
 * to change: one report serves all who ask what is so now, for a moment, until something is known
 * to have changed since it was begun. A report is any immutable object with a count of references.
 *
 * Any thread. The lock guards the members, and what a backend keeps beside them; it is not held
 * while a tool works.
 */
typedef struct {
    GMutex lock;
    gpointer (*ref)(gpointer report);
    void (*unref)(gpointer report);
    gpointer last;  /**< the last report, however old; NULL: none */
    gint64 last_at; /**< when it was kept; 0: it is outdated */
    guint reports;  /**< being made */
    guint changes;  /**< how often something was changed */

    /* private */
    GCond cond;
    gboolean reporting; /* a thread makes a report that others wait for */
    guint accounted;    /* so many of the changes are accounted for */
    gint64 taken_at;    /* when the first of those since the last report was; 0: none */
    int64_t taken;      /* bytes that they took */
} CstReportCache;

/** Who asks for a report that may be kept. */
typedef struct {
    gint64 fresh_us; /**< a report of that age will do */
    gint64 wait_us;  /**< the report that another thread makes is waited for that long */
    /** Whether a report says what is asked for, or will never; NULL: each does. */
    gboolean (*serves)(gpointer report, gpointer data);
    /** Makes a report, and keeps it; a new reference. */
    gpointer (*read)(gpointer data, GError **error);
    gpointer data;
} CstReportQuery;

/** Initialises a cache of reports that @ref and @unref keep and free. */
void cst_report_cache_init(CstReportCache *cache, gpointer (*ref)(gpointer report),
                           void (*unref)(gpointer report));
/** Frees what the cache keeps, not @cache itself. */
void cst_report_cache_clear(CstReportCache *cache);

/** Says that something was changed: the last report is outdated. */
void cst_report_cache_invalidate(CstReportCache *cache);
/** The same, with the lock held. */
void cst_report_cache_forget(CstReportCache *cache);

/** Begins a report. Returns the count of changes, for cst_report_cache_end(). */
guint cst_report_cache_begin(CstReportCache *cache);
/**
 * Ends it with the lock held. @report is kept; NULL: there was no answer. It is fresh only if
 * @agrees and nothing was changed since the report was begun: what was changed in between, it may
 * have missed.
 */
void cst_report_cache_end(CstReportCache *cache, gpointer report, guint changes, gboolean agrees);

/** With the lock held: the last report while it is fresh; a new reference, or NULL. */
gpointer cst_report_cache_fresh(const CstReportCache *cache, gint64 fresh_us);
/** Answers @query by the last report, or by a new one; a new reference. */
gpointer cst_report_cache_get(CstReportCache *cache, const CstReportQuery *query, GError **error);
/** The last report, however old; a new reference. NULL: there was none. */
gpointer cst_report_cache_last(CstReportCache *cache);

/** Says that one change took @bytes of the storage's space (negative: gave them back). */
void cst_report_cache_account(CstReportCache *cache, int64_t bytes);
/**
 * The last report while it is fresh (*ret_until 0), or while only changes that are accounted for
 * came since, which took *ret_taken bytes: for @estimate_us from the first of them on, until
 * *ret_until. NULL: nobody knows. A new reference.
 */
gpointer cst_report_cache_estimate(CstReportCache *cache, gint64 fresh_us, gint64 estimate_us,
                                   int64_t *ret_taken, gint64 *ret_until);
