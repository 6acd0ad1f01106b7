/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calendar expressions, compared with systemd-analyze(1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include <base/error.h>
#include <schedule/calendar.h>

#define ITERATIONS 6
#define ROUNDS     400

static gint64 seconds_of(const char *when)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(when, utc);

    assert_non_null(time);
    return g_date_time_to_unix(time);
}

/* Returns "2026-12-01 02:00:00" in UTC. */
static char *text_of(gint64 seconds)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);

    return g_date_time_format(time, "%Y-%m-%d %H:%M:%S");
}

static gboolean is_gap_end(gint64 seconds, GTimeZone *zone)
{
    gint64 before = seconds - 1;
    int first = g_time_zone_find_interval(zone, G_TIME_TYPE_UNIVERSAL, before);
    int second = g_time_zone_find_interval(zone, G_TIME_TYPE_UNIVERSAL, seconds);

    return g_time_zone_get_offset(zone, second) > g_time_zone_get_offset(zone, first);
}

/* Whether the clocks of the zone have shown the time an hour before. */
static gboolean is_repeated(gint64 seconds, GTimeZone *zone)
{
    int first = g_time_zone_find_interval(zone, G_TIME_TYPE_UNIVERSAL, seconds - 3600);
    int second = g_time_zone_find_interval(zone, G_TIME_TYPE_UNIVERSAL, seconds);

    return g_time_zone_get_offset(zone, first) - g_time_zone_get_offset(zone, second) == 3600;
}

/* --- systemd-analyze -------------------------------------------------------------------------- */

/* The answer of systemd-analyze. */
typedef struct {
    gboolean valid;
    char *errors;
    char *normalized;
    GPtrArray *times; /* texts in UTC */
} Oracle;

static void oracle_clear(Oracle *oracle)
{
    g_free(oracle->errors);
    g_free(oracle->normalized);
    g_ptr_array_unref(oracle->times);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Oracle, oracle_clear)

/* Takes "2026-12-01 02:00:00" from "(in UTC): Tue 2026-12-01 02:00:00 UTC". */
static char *oracle_time(const char *line)
{
    const char *start = strchr(line, ':');

    start = start ? strchr(start + 2, ' ') : NULL;
    return start ? g_strndup(start + 1, strlen("2026-12-01 02:00:00")) : NULL;
}

static void oracle_read(Oracle *oracle, const char *output)
{
    g_auto(GStrv) lines = g_strsplit(output, "\n", -1);

    for (char **line = lines; *line; line++) {
        const char *text = g_strchug(*line);

        if (g_str_has_prefix(text, "Normalized form: "))
            oracle->normalized = g_strdup(text + strlen("Normalized form: "));
        else if (g_str_has_prefix(text, "(in UTC): "))
            g_ptr_array_add(oracle->times, oracle_time(text));
        else if (strstr(text, " UTC") &&
                 (g_str_has_prefix(text, "Next elapse: ") || g_str_has_prefix(text, "Iter. #")))
            g_ptr_array_add(oracle->times, oracle_time(text));
    }
}

static void oracle_ask(Oracle *ret_oracle, const char *expression, gint64 after, const char *zone)
{
    g_autofree char *base_text = text_of(after);
    g_autofree char *base = g_strdup_printf("--base-time=%s UTC", base_text);
    g_autofree char *count = g_strdup_printf("--iterations=%d", ITERATIONS);
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "TZ", zone, TRUE);
    g_autofree char *output = NULL;
    const char *argv[] = {"systemd-analyze", "calendar", base, count, "--", expression, NULL};
    int status;

    *ret_oracle = (Oracle){.times = g_ptr_array_new_with_free_func(g_free)};
    assert_true(g_spawn_sync(NULL, (char **)argv, env, G_SPAWN_SEARCH_PATH, NULL, NULL, &output,
                             &ret_oracle->errors, &status, NULL));
    ret_oracle->valid = status == 0;
    oracle_read(ret_oracle, output);
}

/* --- random expressions ----------------------------------------------------------------------- */

static int pick(GRand *rand, int count)
{
    return g_rand_int_range(rand, 0, count);
}

/* systemd 252 loses the first time of a day or year after some other open repetitions. */
static void add_value(GRand *rand, GString *text, int min, int max)
{
    static const int repeats[] = {2, 3, 4, 6, 12};
    int start = min + pick(rand, max - min + 1);

    if (min == 0 && pick(rand, 5) == 0) {
        g_string_append_printf(text, "0/%d", repeats[pick(rand, G_N_ELEMENTS(repeats))]);
        return;
    }
    g_string_append_printf(text, pick(rand, 2) ? "%d" : "%02d", start);
    if (pick(rand, 4) > 0)
        return;
    g_string_append_printf(text, "..%d", start + 1 + pick(rand, max - start + 1));
    if (pick(rand, 4) == 0)
        g_string_append_printf(text, "/%d", 1 + pick(rand, max));
}

static void add_field(GRand *rand, GString *text, int min, int max, gboolean list)
{
    if (pick(rand, 3) == 0) {
        g_string_append_c(text, '*');
        return;
    }
    add_value(rand, text, min, max);
    while (list && pick(rand, 3) == 0) {
        g_string_append_c(text, ',');
        add_value(rand, text, min, max);
    }
}

static void add_weekdays(GRand *rand, GString *text)
{
    static const char *const names[] = {"Mon", "tue",      "WED",    "Thursday",
                                        "Fri", "saturday", "Sunday", "Sun"};

    do {
        g_string_append(text, names[pick(rand, G_N_ELEMENTS(names))]);
        if (pick(rand, 3) == 0)
            g_string_append_printf(text, "..%s", names[pick(rand, G_N_ELEMENTS(names))]);
        g_string_append_c(text, pick(rand, 3) == 0 ? ',' : ' ');
    } while (text->str[text->len - 1] == ',');
}

static void add_date(GRand *rand, GString *text)
{
    gboolean from_end = pick(rand, 4) == 0;

    if (pick(rand, 2)) {
        add_field(rand, text, 2024, 2032, TRUE);
        g_string_append_c(text, '-');
    }
    add_field(rand, text, 1, 12, TRUE);
    g_string_append_c(text, from_end ? '~' : '-');
    /* systemd 252 rejects some lists of days from the end. */
    add_field(rand, text, 1, 31, !from_end);
    g_string_append_c(text, ' ');
}

static char *random_expression(GRand *rand)
{
    GString *text = g_string_new(NULL);

    if (pick(rand, 3) == 0)
        add_weekdays(rand, text);
    if (pick(rand, 3) > 0)
        add_date(rand, text);
    if (pick(rand, 4) > 0 || text->len == 0) {
        add_field(rand, text, 0, 23, TRUE);
        g_string_append_c(text, ':');
        add_field(rand, text, 0, 59, TRUE);
        if (pick(rand, 3) == 0) {
            g_string_append_c(text, ':');
            add_field(rand, text, 0, 59, TRUE);
        }
    }
    if (pick(rand, 5) == 0)
        g_string_append(text, pick(rand, 2) ? " UTC" : " America/New_York");
    return g_strchomp(g_string_free(text, FALSE));
}

/* --- comparison ------------------------------------------------------------------------------- */

static void assert_times(const CstCalendar *calendar, const Oracle *oracle, gint64 after,
                         const char *zone_name, const char *expression)
{
    g_autoptr(GTimeZone) local = g_time_zone_new_identifier(zone_name);
    g_autoptr(GTimeZone) named = strstr(expression, "New_York")
                                     ? g_time_zone_new_identifier("America/New_York")
                                     : g_time_zone_ref(local);
    guint at = 0;

    while (at < oracle->times->len) {
        g_autofree char *text = NULL;

        after = cst_calendar_next(calendar, after, local);
        assert_true(after != CST_CALENDAR_NEVER);
        text = text_of(after);
        if (strcmp(text, oracle->times->pdata[at]) == 0) {
            at++;
        } else if (!is_gap_end(after, named)) {
            print_error("'%s' in %s: %s, but systemd: %s\n", expression, zone_name, text,
                        (char *)oracle->times->pdata[at]);
            fail();
        }
    }
    /* systemd reports no further time. */
    if (oracle->times->len < ITERATIONS)
        do
            after = cst_calendar_next(calendar, after, local);
        while (after != CST_CALENDAR_NEVER && is_gap_end(after, named));
    if (oracle->times->len < ITERATIONS)
        assert_true(after == CST_CALENDAR_NEVER);
}

static void compare(const char *expression, gint64 after, const char *zone)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstCalendar) calendar = cst_calendar_parse(expression, &error);
    g_auto(Oracle) oracle = {0};

    oracle_ask(&oracle, expression, after, zone);
    if ((calendar != NULL) != oracle.valid)
        print_error("'%s': %s, but systemd: %s\n", expression, error ? error->message : "accepted",
                    oracle.errors);
    assert_int_equal(calendar != NULL, oracle.valid);
    if (!calendar) {
        assert_int_equal(cst_error_code(error), CST_ERROR_INVALID);
        return;
    }
    assert_string_equal(cst_calendar_text(calendar), oracle.normalized);
    assert_times(calendar, &oracle, after, zone, expression);
}

static void chosen_expressions_elapse_as_in_systemd(void **unused)
{
    static const char *const expressions[] = {
        "hourly",
        "daily",
        "Weekly",
        "monthly",
        "quarterly",
        "yearly",
        "annually",
        "semiannually",
        "minutely",
        "Mon..Fri 02:00",
        "*-*~1 03:00",
        "*-*~7/1",
        "*-02~1",
        "Mon *-*~07/1",
        "Sat 10..12/2",
        "*:0/15",
        "daily UTC",
        "hourly Asia/Kolkata",
        "*-2-29",
        "*-2-30",
        "*-*-31 23:59",
        "1999-1-1",
        "99-1-1",
        "26-1-1",
        "*:*:0/7",
        "Mon,Wed..Thu,Sun 5:30",
        "Friday",
        "02:30",
        "",
        "12",
        "12:",
        ":30",
        "24:0",
        "*-0-1",
        "Wed..Tue",
        "Mon,,Tue",
        "*:7..5",
        "*/2:00",
        "Mon Tue",
        "daily hourly",
        "daily UTC x",
        "*-*-*-* 1:0",
        "5-1 5-2",
        "Mon..",
        "1..2..3:0",
        "*-*~3..1",
        "*-*~3..5",
        "*-*~5..9/3",
        "Sat-Mon",
        "monday..FRI 1:2:3",
    };

    for (guint i = 0; i < G_N_ELEMENTS(expressions); i++)
        compare(expressions[i], seconds_of("2026-11-30T21:00:00Z"), "UTC");
}

static void random_expressions_elapse_as_in_systemd(void **unused)
{
    static const char *const zones[] = {"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata",
                                        "Pacific/Auckland"};
    guint32 seed = g_random_int();
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autoptr(GTimeZone) new_york = g_time_zone_new_identifier("America/New_York");

    print_message("seed %u\n", seed);
    for (guint i = 0; i < ROUNDS; i++) {
        g_autofree char *expression = random_expression(rand);
        gint64 after = seconds_of("2026-01-01T00:00:00Z") + pick(rand, 366 * 86400);
        const char *zone_name = zones[pick(rand, G_N_ELEMENTS(zones))];
        g_autoptr(GTimeZone) zone = g_time_zone_new_identifier(zone_name);

        /* systemd has times in a repeated hour, and Cistern does not. */
        while (is_repeated(after, zone) || is_repeated(after, new_york))
            after += 3600;
        compare(expression, after, zone_name);
    }
}

static void assert_elapses(const char *expression, const char *zone_name, const char *after,
                           const char *expected)
{
    g_autoptr(CstCalendar) calendar = cst_calendar_parse(expression, NULL);
    g_autoptr(GTimeZone) zone = g_time_zone_new_identifier(zone_name);
    g_autofree char *text = NULL;

    assert_non_null(calendar);
    text = text_of(cst_calendar_next(calendar, seconds_of(after), zone));
    assert_string_equal(text, expected);
}

/* systemd would skip the night. */
static void time_in_the_gap_elapses_at_its_end(void **unused)
{
    assert_elapses("02:30", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29 01:00:00");
    assert_elapses("02:30", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-30 00:30:00");
    assert_elapses("02:15", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03 15:30:00");
}

static void time_that_exists_twice_elapses_once(void **unused)
{
    assert_elapses("02:30", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25 00:30:00");
    assert_elapses("02:30", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26 01:30:00");
    assert_elapses("02:30", "Europe/Berlin", "2026-10-25T01:15:00Z", "2026-10-26 01:30:00");
    assert_elapses("*:0/15", "Europe/Berlin", "2026-10-25T00:45:00Z", "2026-10-25 02:00:00");
    assert_elapses("*:0/15", "Europe/Berlin", "2026-10-25T01:05:00Z", "2026-10-25 02:00:00");
}

static void zone_is_no_path(void **unused)
{
    static const char *const expressions[] = {"daily ../../../etc/localtime",
                                              "daily /etc/localtime", "daily Europe/../UTC",
                                              "daily Nowhere/City"};

    for (guint i = 0; i < G_N_ELEMENTS(expressions); i++)
        assert_null(cst_calendar_parse(expressions[i], NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_expressions_elapse_as_in_systemd),
        cmocka_unit_test(random_expressions_elapse_as_in_systemd),
        cmocka_unit_test(time_in_the_gap_elapses_at_its_end),
        cmocka_unit_test(time_that_exists_twice_elapses_once),
        cmocka_unit_test(zone_is_no_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
