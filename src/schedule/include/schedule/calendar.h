/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Calendar expressions of systemd, such as "Mon..Fri 02:00", "hourly" or "*-*~1 03:00 UTC"
 * (systemd.time(7)). Seconds have no fraction, and "@" times are not supported.
 *
 * A local time that exists twice, at the end of daylight saving time, elapses once, at the first of
 * the two. A local time that does not exist elapses at the end of the gap; systemd skips it, but
 * then a nightly backup would be missing.
 */
typedef struct CstCalendar CstCalendar;

/** Last year that an expression can name, as in systemd. */
#define CST_CALENDAR_YEAR_MAX 2199

/** The expression never elapses again. */
#define CST_CALENDAR_NEVER G_MININT64

/** Parses an expression. Fails with INVALID, naming the part that is wrong. */
CstCalendar *cst_calendar_parse(const char *text, GError **error);
/** NULL is accepted. */
void cst_calendar_free(CstCalendar *calendar);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstCalendar, cst_calendar_free)
/** Returns the normalized expression, as systemd-analyze prints it; borrowed. */
const char *cst_calendar_text(const CstCalendar *calendar);
/**
 * Returns the first time after @after at which the expression elapses, or CST_CALENDAR_NEVER. Both
 * are seconds since the epoch. @zone: of an expression without a time zone; NULL: the local zone of
 * this process. Any thread.
 */
gint64 cst_calendar_next(const CstCalendar *calendar, gint64 after, GTimeZone *zone);
