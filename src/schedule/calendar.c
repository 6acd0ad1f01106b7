/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The next time of a calendar expression. The search goes over the local days from the given time
 * on. On a day that matches, it goes over the hours, minutes and seconds that match.
 */
#include "calendar.h"

#define DAY_S 86400

/* A local time that a search has reached. */
typedef struct {
    GDate date;
    int time[3]; /* hour, minute, second */
} LocalTime;

static gboolean part_matches(const CalendarPart *part, int value)
{
    if (value < part->start || (part->stop >= 0 && value > part->stop))
        return FALSE;
    if (part->repeat > 0)
        return (value - part->start) % part->repeat == 0;
    return part->stop >= 0 || value == part->start;
}

static gboolean field_matches(const CalendarField *field, int value)
{
    for (guint i = 0; i < field->parts->len; i++)
        if (part_matches(&g_array_index(field->parts, CalendarPart, i), value))
            return TRUE;
    return field->parts->len == 0;
}

/*
 * Day 1 from the end is the last one. A repetition goes forward in the month, so "~7/1" has the
 * last seven days.
 */
static gboolean day_from_end_matches(const CalendarField *field, int day, int last)
{
    for (guint i = 0; i < field->parts->len; i++) {
        const CalendarPart *part = &g_array_index(field->parts, CalendarPart, i);
        CalendarPart days = {.start = last + 1 - part->start, .stop = -1, .repeat = part->repeat};

        if (part->stop >= 0) {
            days.start = last + 1 - part->stop;
            days.stop = last + 1 - part->start;
        }
        if (part_matches(&days, day))
            return TRUE;
    }
    return field->parts->len == 0;
}

static gboolean date_matches(const CstCalendar *calendar, const GDate *date)
{
    const CalendarField *days = &calendar->fields[CALENDAR_DAY];
    int day = g_date_get_day(date);
    int last = g_date_get_days_in_month(g_date_get_month(date), g_date_get_year(date));

    if (calendar->weekdays && !(calendar->weekdays & (1u << (g_date_get_weekday(date) - 1))))
        return FALSE;
    return calendar->from_end ? day_from_end_matches(days, day, last) : field_matches(days, day);
}

static void local_next_date(LocalTime *local)
{
    g_date_add_days(&local->date, 1);
    local->time[0] = local->time[1] = local->time[2] = 0;
}

/* Goes to the first day of the next month. */
static void local_next_month(LocalTime *local)
{
    g_date_set_day(&local->date, 1);
    g_date_add_months(&local->date, 1);
    local->time[0] = local->time[1] = local->time[2] = 0;
}

/* Advances to the first matching day. Returns FALSE after the last year. */
static gboolean local_find_date(const CstCalendar *calendar, LocalTime *local)
{
    const CalendarField *fields = calendar->fields;

    while (g_date_get_year(&local->date) <= CST_CALENDAR_YEAR_MAX)
        if (!field_matches(&fields[CALENDAR_YEAR], g_date_get_year(&local->date)) ||
            !field_matches(&fields[CALENDAR_MONTH], (int)g_date_get_month(&local->date)))
            local_next_month(local);
        else if (!date_matches(calendar, &local->date))
            local_next_date(local);
        else
            return TRUE;
    return FALSE;
}

/* Advances to the first matching time of the day, from the present one on. */
static gboolean local_find_time(const CstCalendar *calendar, LocalTime *local)
{
    static const int ends[] = {24, 60, 60};
    int at = 0;

    while (at < 3) {
        if (local->time[at] == ends[at]) {
            if (at == 0)
                return FALSE;
            local->time[at] = 0;
            at--;
            local->time[at]++;
            for (int i = at + 1; i < 3; i++)
                local->time[i] = 0;
        } else if (field_matches(&calendar->fields[CALENDAR_HOUR + at], local->time[at])) {
            at++;
        } else {
            local->time[at]++;
            for (int i = at + 1; i < 3; i++)
                local->time[i] = 0;
        }
    }
    return TRUE;
}

/* Goes a second forward. */
static void local_advance(LocalTime *local)
{
    if (++local->time[2] < 60)
        return;
    local->time[2] = 0;
    if (++local->time[1] < 60)
        return;
    local->time[1] = 0;
    /* 24 ends the day (local_find_time()). */
    local->time[0]++;
}

/* Returns the local time as seconds since the epoch, as if its zone were UTC. */
static gint64 local_seconds(const LocalTime *local)
{
    GDate epoch;

    g_date_clear(&epoch, 1);
    g_date_set_dmy(&epoch, 1, G_DATE_JANUARY, 1970);
    return (gint64)g_date_days_between(&epoch, &local->date) * DAY_S +
           (gint64)local->time[0] * 3600 + local->time[1] * 60 + local->time[2];
}

/* Returns the first time at which clocks of the zone show @seconds, or the end of their gap. */
static gint64 zone_to_utc(GTimeZone *zone, gint64 seconds)
{
    static const GTimeType types[] = {G_TIME_TYPE_STANDARD, G_TIME_TYPE_DAYLIGHT};
    gint64 first = G_MAXINT64;

    for (guint i = 0; i < G_N_ELEMENTS(types); i++) {
        gint64 shown = seconds;
        int interval = g_time_zone_adjust_time(zone, types[i], &shown);

        first = MIN(first, shown - g_time_zone_get_offset(zone, interval));
    }
    return first;
}

gint64 cst_calendar_next(const CstCalendar *calendar, gint64 after, GTimeZone *zone)
{
    g_autoptr(GTimeZone) own = calendar->time_zone ? g_time_zone_ref(calendar->time_zone)
                               : zone              ? g_time_zone_ref(zone)
                                                   : g_time_zone_new_local();
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(after);
    g_autoptr(GDateTime) start = utc ? g_date_time_to_timezone(utc, own) : NULL;
    LocalTime local;

    if (!start)
        return CST_CALENDAR_NEVER;
    g_date_clear(&local.date, 1);
    g_date_set_dmy(&local.date, (GDateDay)g_date_time_get_day_of_month(start),
                   (GDateMonth)g_date_time_get_month(start),
                   (GDateYear)g_date_time_get_year(start));
    local.time[0] = g_date_time_get_hour(start);
    local.time[1] = g_date_time_get_minute(start);
    local.time[2] = g_date_time_get_second(start);
    while (local_find_date(calendar, &local)) {
        for (; local_find_time(calendar, &local); local_advance(&local)) {
            gint64 time = zone_to_utc(own, local_seconds(&local));

            if (time > after)
                return time;
        }
        local_next_date(&local);
    }
    return CST_CALENDAR_NEVER;
}
