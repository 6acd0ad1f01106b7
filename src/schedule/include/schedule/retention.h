/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** How many of a series of backups or snapshots are kept. 0: the rule keeps no copy. */
typedef struct {
    unsigned last;    /**< the newest ones */
    unsigned hourly;  /**< the newest one of each of so many hours */
    unsigned daily;   /**< likewise of days, in the local time of the decision */
    unsigned weekly;  /**< of weeks as in ISO 8601 */
    unsigned monthly; /**< of months */
    unsigned yearly;  /**< of years */
} CstRetention;

/** Whether no rule keeps a copy. */
gboolean cst_retention_is_empty(const CstRetention *retention);

/**
 * Decides which of @count copies to keep. @times: seconds since the epoch, the newest first. A
 * copy is kept for a period if it is the newest one in that period, until the number of periods is
 * reached. Periods without a copy do not count. Returns an array in the same order with the reasons
 * to keep a copy ("last, daily"), in the user's language, or NULL to remove it. The caller drops
 * the array, which owns the texts. @zone: of the periods; NULL: local time.
 */
GPtrArray *cst_retention_decide(const CstRetention *retention, const gint64 *times, guint count,
                                GTimeZone *zone);
