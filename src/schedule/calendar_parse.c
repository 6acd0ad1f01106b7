/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parsing of calendar expressions: [WEEKDAYS] [DATE] [TIME] [ZONE], or one of systemd's words for
 * such an expression ("daily").
 */
#include "calendar.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#define N_WEEKDAYS   7
#define ALL_WEEKDAYS ((1u << N_WEEKDAYS) - 1)
#define DIGITS_MAX   6
#define FROM_END_MAX 28 /* each month has such a day */

static const struct {
    int min, max, width;
} ranges[CALENDAR_N_FIELDS] = {
    [CALENDAR_YEAR] = {1970, CST_CALENDAR_YEAR_MAX, 4},
    [CALENDAR_MONTH] = {1, 12, 2},
    [CALENDAR_DAY] = {1, 31, 2},
    [CALENDAR_HOUR] = {0, 23, 2},
    [CALENDAR_MINUTE] = {0, 59, 2},
    [CALENDAR_SECOND] = {0, 59, 2},
};

static const char *const weekdays[N_WEEKDAYS] = {
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
};

static const struct {
    const char *word, *expression;
} words[] = {
    {"minutely", "*-*-* *:*:00"},
    {"hourly", "*-*-* *:00:00"},
    {"daily", "*-*-* 00:00:00"},
    {"weekly", "Mon *-*-* 00:00:00"},
    {"monthly", "*-*-01 00:00:00"},
    {"quarterly", "*-01,04,07,10-01 00:00:00"},
    {"semiannually", "*-01,07-01 00:00:00"},
    {"semi-annually", "*-01,07-01 00:00:00"},
    {"biannually", "*-01,07-01 00:00:00"},
    {"bi-annually", "*-01,07-01 00:00:00"},
    {"yearly", "*-01-01 00:00:00"},
    {"annually", "*-01-01 00:00:00"},
    {"anually", "*-01-01 00:00:00"},
};

void cst_calendar_free(CstCalendar *calendar)
{
    if (!calendar)
        return;
    for (int i = 0; i < CALENDAR_N_FIELDS; i++)
        if (calendar->fields[i].parts)
            g_array_unref(calendar->fields[i].parts);
    if (calendar->time_zone)
        g_time_zone_unref(calendar->time_zone);
    g_free(calendar->zone);
    g_free(calendar->text);
    g_free(calendar);
}

const char *cst_calendar_text(const CstCalendar *calendar)
{
    return calendar->text;
}

/* --- weekdays --------------------------------------------------------------------------------- */

/* Parses "Mon" or "Monday" at the start of *text, and advances it. Returns -1 without a weekday. */
static int weekday_parse(const char **text)
{
    size_t len = strspn(*text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    for (int i = 0; i < N_WEEKDAYS; i++)
        if ((len == 3 || len == strlen(weekdays[i])) &&
            g_ascii_strncasecmp(*text, weekdays[i], len) == 0) {
            *text += len;
            return i;
        }
    return -1;
}

/* Parses "Mon,Wed..Fri". Returns 0 if the word has another form. */
static unsigned weekdays_parse(const char *word)
{
    unsigned bits = 0;

    do {
        int first = weekday_parse(&word), last = first;

        if (first < 0)
            return 0;
        if (g_str_has_prefix(word, "..")) {
            word += 2;
            last = weekday_parse(&word);
        }
        if (last < first)
            return 0;
        for (int i = first; i <= last; i++)
            bits |= 1u << i;
    } while (*word++ == ',');
    return word[-1] == '\0' ? bits : 0;
}

/* --- fields ----------------------------------------------------------------------------------- */

static gboolean number_parse(const char **text, int *ret_number)
{
    size_t len = strspn(*text, "0123456789");

    if (len == 0 || len > DIGITS_MAX)
        return FALSE;
    *ret_number = (int)g_ascii_strtoll(*text, NULL, 10);
    *text += len;
    return TRUE;
}

/* 70 is 1970 and 69 is 2069, as in systemd. */
static int year_complete(int year)
{
    if (year >= 100)
        return year;
    return year < 70 ? 2000 + year : 1900 + year;
}

static gboolean part_parse(const char **text, CalendarFieldId id, CalendarPart *ret_part)
{
    CalendarPart part = {.stop = -1};

    if (!number_parse(text, &part.start))
        return FALSE;
    if (g_str_has_prefix(*text, "..")) {
        *text += 2;
        if (!number_parse(text, &part.stop))
            return FALSE;
    }
    if (**text == '/') {
        (*text)++;
        if (!number_parse(text, &part.repeat) || part.repeat == 0)
            return FALSE;
    }
    if (id == CALENDAR_YEAR) {
        part.start = year_complete(part.start);
        part.stop = part.stop >= 0 ? year_complete(part.stop) : -1;
    }
    *ret_part = part;
    return TRUE;
}

/* An open repetition must have a second value. @from_end: it counts down. */
static gboolean part_is_valid(const CalendarPart *part, CalendarFieldId id, gboolean from_end)
{
    const int min = ranges[id].min, max = from_end ? FROM_END_MAX : ranges[id].max;

    if (part->start < min || part->start > max)
        return FALSE;
    if (part->stop >= 0)
        return part->stop >= part->start && part->stop <= max;
    if (part->repeat == 0)
        return TRUE;
    return from_end ? part->start - part->repeat >= min : part->start + part->repeat <= max;
}

static int part_compare(gconstpointer a, gconstpointer b)
{
    const CalendarPart *first = a, *second = b;

    if (first->start != second->start)
        return first->start - second->start;
    if (first->stop != second->stop)
        return first->stop - second->stop;
    return first->repeat - second->repeat;
}

/* Parses "*" or "1,4..6,10/5" at the start of *text, and advances it. */
static gboolean field_parse(const char **text, CalendarFieldId id, gboolean from_end,
                            CalendarField *field)
{
    if (**text == '*') {
        (*text)++;
        return TRUE;
    }
    for (;;) {
        CalendarPart part;

        if (!part_parse(text, id, &part))
            return FALSE;
        if (part.stop > part.start && part.repeat > 0)
            part.stop -= (part.stop - part.start) % part.repeat;
        if (part.stop == part.start) {
            part.stop = -1;
            part.repeat = 0;
        }
        if (!part_is_valid(&part, id, from_end))
            return FALSE;
        g_array_append_val(field->parts, part);
        if (**text != ',')
            break;
        (*text)++;
    }
    g_array_sort(field->parts, part_compare);
    for (guint i = 1; i < field->parts->len;)
        if (part_compare(&g_array_index(field->parts, CalendarPart, i - 1),
                         &g_array_index(field->parts, CalendarPart, i)) == 0)
            g_array_remove_index(field->parts, i);
        else
            i++;
    return TRUE;
}

static void field_set(CalendarField *field, int value)
{
    const CalendarPart part = {.start = value, .stop = -1};

    g_array_append_val(field->parts, part);
}

/* Parses "2026-01-*", "1-15" or "*-*~1". */
static gboolean date_parse(CstCalendar *calendar, const char *word)
{
    CalendarField *fields = calendar->fields;
    guint separators = 0;

    for (const char *c = word; *c; c++)
        separators += *c == '-' || *c == '~';
    if (separators == 2 &&
        (!field_parse(&word, CALENDAR_YEAR, FALSE, &fields[CALENDAR_YEAR]) || *word++ != '-'))
        return FALSE;
    if (!field_parse(&word, CALENDAR_MONTH, FALSE, &fields[CALENDAR_MONTH]))
        return FALSE;
    if (*word != '-' && *word != '~')
        return FALSE;
    calendar->from_end = word[0] == '~' && word[1] != '*';
    word++;
    return field_parse(&word, CALENDAR_DAY, calendar->from_end, &fields[CALENDAR_DAY]) &&
           *word == '\0';
}

/* Parses "02:00", "*:0/15" or "02:00:30". */
static gboolean time_parse(CstCalendar *calendar, const char *word)
{
    CalendarField *fields = calendar->fields;

    if (!field_parse(&word, CALENDAR_HOUR, FALSE, &fields[CALENDAR_HOUR]) || *word++ != ':' ||
        !field_parse(&word, CALENDAR_MINUTE, FALSE, &fields[CALENDAR_MINUTE]))
        return FALSE;
    if (*word == '\0') {
        field_set(&fields[CALENDAR_SECOND], 0);
        return TRUE;
    }
    return *word++ == ':' && field_parse(&word, CALENDAR_SECOND, FALSE, &fields[CALENDAR_SECOND]) &&
           *word == '\0';
}

static void time_set_midnight(CstCalendar *calendar)
{
    for (int i = CALENDAR_HOUR; i <= CALENDAR_SECOND; i++)
        field_set(&calendar->fields[i], 0);
}

/* --- the zone --------------------------------------------------------------------------------- */

/* A name that is no path out of the directory of time zones. */
static gboolean zone_name_is_plain(const char *name)
{
    if (!g_ascii_isalpha(*name) || strstr(name, ".."))
        return FALSE;
    for (const char *c = name; *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr("/_+-", *c))
            return FALSE;
    return TRUE;
}

static gboolean zone_parse(CstCalendar *calendar, const char *word)
{
    if (g_ascii_strcasecmp(word, "UTC") == 0)
        word = "UTC";
    if (!zone_name_is_plain(word))
        return FALSE;
    calendar->time_zone = g_time_zone_new_identifier(word);
    calendar->zone = calendar->time_zone ? g_strdup(word) : NULL;
    return calendar->zone != NULL;
}

/* --- the text --------------------------------------------------------------------------------- */

static void field_format(const CalendarField *field, CalendarFieldId id, GString *text)
{
    const int width = ranges[id].width;

    if (field->parts->len == 0)
        g_string_append_c(text, '*');
    for (guint i = 0; i < field->parts->len; i++) {
        const CalendarPart *part = &g_array_index(field->parts, CalendarPart, i);

        g_string_append_printf(text, "%s%0*d", i > 0 ? "," : "", width, part->start);
        if (part->stop >= 0)
            g_string_append_printf(text, "..%0*d", width, part->stop);
        if (part->repeat > 0 && !(part->stop >= 0 && part->repeat == 1))
            g_string_append_printf(text, "/%d", part->repeat);
    }
}

static void weekdays_format(unsigned bits, GString *text)
{
    const char *separator = "";

    for (int i = 0; i < N_WEEKDAYS; i++) {
        int last = i;

        if (!(bits & (1u << i)))
            continue;
        while (last + 1 < N_WEEKDAYS && bits & (1u << (last + 1)))
            last++;
        g_string_append_printf(text, "%s%.3s", separator, weekdays[i]);
        if (last > i)
            g_string_append_printf(text, "%s%.3s", last > i + 1 ? ".." : ",", weekdays[last]);
        separator = ",";
        i = last;
    }
    if (bits)
        g_string_append_c(text, ' ');
}

static char *calendar_format(const CstCalendar *calendar)
{
    static const char separators[CALENDAR_N_FIELDS] = {'-', '-', ' ', ':', ':', '\0'};
    GString *text = g_string_new(NULL);

    weekdays_format(calendar->weekdays, text);
    for (int i = 0; i < CALENDAR_N_FIELDS; i++) {
        char separator = separators[i];

        field_format(&calendar->fields[i], i, text);
        if (i == CALENDAR_MONTH && calendar->from_end)
            separator = '~';
        if (separator)
            g_string_append_c(text, separator);
    }
    if (calendar->zone)
        g_string_append_printf(text, " %s", calendar->zone);
    return g_string_free(text, FALSE);
}

/* --- the expression --------------------------------------------------------------------------- */

static gboolean calendar_fail(const char *text, const char *part, GError **error)
{
    return cst_fail(error, CST_ERROR_INVALID,
                    _("calendar expression '%s': '%s' is not valid; examples are \"hourly\", "
                      "\"02:00\" and \"Mon..Fri *-*-* 02:00\" (systemd.time(7))"),
                    text, part);
}

static gboolean parts_parse(CstCalendar *calendar, char **parts, const char *text, GError **error)
{
    guint count = g_strv_length(parts), i = 0;

    if (count > 1 && zone_parse(calendar, parts[count - 1]))
        count--;
    if (i < count)
        calendar->weekdays = weekdays_parse(parts[i]);
    i += calendar->weekdays != 0;
    if (calendar->weekdays == ALL_WEEKDAYS)
        calendar->weekdays = 0;
    if (i < count && !strchr(parts[i], ':') && !date_parse(calendar, parts[i++]))
        return calendar_fail(text, parts[i - 1], error);
    if (i == count && count > 0)
        time_set_midnight(calendar);
    else if (i == count || !time_parse(calendar, parts[i++]))
        return calendar_fail(text, count > 0 ? parts[i - 1] : "", error);
    return i == count || calendar_fail(text, parts[i], error);
}

/* Splits at white space. The caller frees the result. */
static GStrv words_split(const char *text)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new();
    g_auto(GStrv) pieces = g_strsplit_set(text, " \t", -1);

    for (char **piece = pieces; *piece; piece++)
        if (**piece)
            g_ptr_array_add(parts, g_strdup(*piece));
    g_ptr_array_add(parts, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&parts), FALSE);
}

/* Replaces the first word of @parts, such as "daily", by its expression. */
static GStrv words_expand(GStrv parts)
{
    for (guint i = 0; parts[0] && i < G_N_ELEMENTS(words); i++)
        if (g_ascii_strcasecmp(parts[0], words[i].word) == 0) {
            g_auto(GStrv) old = parts;
            g_autofree char *rest = g_strjoinv(" ", old + 1);
            g_autofree char *text = g_strdup_printf("%s %s", words[i].expression, rest);

            /* After such a word only a time zone may follow. */
            return old[1] && old[2] ? g_strsplit(text, "", 1) : words_split(text);
        }
    return parts;
}

CstCalendar *cst_calendar_parse(const char *text, GError **error)
{
    g_autoptr(CstCalendar) calendar = g_new0(CstCalendar, 1);
    g_auto(GStrv) parts = words_expand(words_split(text));

    for (int i = 0; i < CALENDAR_N_FIELDS; i++)
        calendar->fields[i].parts = g_array_new(FALSE, FALSE, sizeof(CalendarPart));
    if (!parts_parse(calendar, parts, text, error))
        return NULL;
    calendar->text = calendar_format(calendar);
    return g_steal_pointer(&calendar);
}
