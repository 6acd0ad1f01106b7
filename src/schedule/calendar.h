/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <schedule/calendar.h>

/** A part of a field: START, START/REPEAT, START..STOP or START..STOP/REPEAT. */
typedef struct {
    int start;
    int stop;   /* -1: without */
    int repeat; /* 0: without */
} CalendarPart;

typedef enum {
    CALENDAR_YEAR,
    CALENDAR_MONTH,
    CALENDAR_DAY,
    CALENDAR_HOUR,
    CALENDAR_MINUTE,
    CALENDAR_SECOND,
    CALENDAR_N_FIELDS
} CalendarFieldId;

/** The values of a field. */
typedef struct {
    GArray *parts; /* of CalendarPart, sorted; empty: all values */
} CalendarField;

struct CstCalendar {
    CalendarField fields[CALENDAR_N_FIELDS];
    unsigned weekdays; /* bit 0: Monday; 0: all days */
    gboolean from_end; /* days count from the end of the month: 1 is its last day */
    char *zone;        /* name of the time zone; NULL: without */
    GTimeZone *time_zone;
    char *text;
};
