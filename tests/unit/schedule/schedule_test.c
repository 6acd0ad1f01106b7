/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Definitions of schedules, due times, and the agreement of the simulation with real runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include <base/error.h>
#include <schedule/calendar.h>
#include <schedule/run.h>
#include <schedule/schedule.h>
#include <schedule/selector.h>

#define HOUR 3600
#define DAY  86400

static gint64 seconds_of(const char *when)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(when, utc);

    assert_non_null(time);
    return g_date_time_to_unix(time);
}

static CstSchedule *schedule_make(const char *every, CstScheduleAction action, const char *on)
{
    CstSchedule *schedule = cst_schedule_new();

    schedule->name = g_strdup("nightly");
    schedule->every = g_strdup(every);
    schedule->action = action;
    g_strfreev(schedule->on);
    schedule->on = g_strsplit(on, " ", 0);
    return schedule;
}

static void assert_refused(CstSchedule *schedule, const char *part)
{
    g_autoptr(GError) error = NULL;

    assert_false(cst_schedule_check(schedule, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_INVALID);
    if (!strstr(error->message, part))
        print_error("%s\n", error->message);
    assert_non_null(strstr(error->message, part));
    cst_schedule_free(schedule);
}

static CstSchedule *with_option(CstSchedule *schedule, const char *name, const char *value)
{
    cst_schedule_set_option(schedule, name, value);
    return schedule;
}

static void wrong_definitions_name_the_part(void **unused)
{
    CstSchedule *schedule = schedule_make("daily", CST_SCHEDULE_SNAPSHOT, "images");

    g_free(schedule->name);
    schedule->name = g_strdup("a b");
    assert_refused(schedule, "'a b'");
    schedule = schedule_make("daily", CST_SCHEDULE_SNAPSHOT, "images");
    g_free(schedule->name);
    schedule->name = g_strnfill(CST_SCHEDULE_NAME_MAX + 1, 'x');
    assert_refused(schedule, "is not valid");
    assert_refused(schedule_make("dayly", CST_SCHEDULE_SNAPSHOT, "images"), "'dayly'");
    assert_refused(schedule_make("daily", CST_SCHEDULE_SNAPSHOT, ""), "selects no volumes");
    assert_refused(schedule_make("daily", CST_SCHEDULE_SNAPSHOT, "images/"), "'images/'");
    assert_refused(schedule_make("daily", CST_SCHEDULE_SNAPSHOT, "machine:"), "'machine:'");
    assert_refused(schedule_make("daily", CST_SCHEDULE_TRASH_EMPTY, "machine:x"), "does not take");
    assert_refused(schedule_make("daily", CST_SCHEDULE_BACKUP, "images"), "needs --repo");
    assert_refused(with_option(schedule_make("daily", CST_SCHEDULE_CHECK, "images"), "repo", "/b"),
                   "'repo=/b'");
    schedule = schedule_make("daily", CST_SCHEDULE_CHECK, "images");
    schedule->keep.daily = 7;
    assert_refused(schedule, "makes no copies");
    assert_refused(
        with_option(schedule_make("daily", CST_SCHEDULE_BACKUP, "images"), "repo", "--x"),
        "'repo=--x'");
    assert_refused(schedule_make("daily", CST_SCHEDULE_SNAPSHOT, "-x/a"), "'-x/a'");
    schedule = schedule_make("daily", CST_SCHEDULE_SNAPSHOT, "images");
    g_free(schedule->every);
    schedule->every = g_strnfill(CST_SCHEDULE_EVERY_MAX + 1, 'x');
    assert_refused(schedule, "too long");
    schedule = schedule_make("daily", CST_SCHEDULE_SNAPSHOT, "images");
    schedule->keep_min = CST_SCHEDULE_KEEP_MAX + 1;
    assert_refused(schedule, "more than");
}

static void right_definitions_are_accepted(void **unused)
{
    CstSchedule *const schedules[] = {
        schedule_make("Mon..Fri 02:00", CST_SCHEDULE_SNAPSHOT, "images images/web* machine:web"),
        with_option(schedule_make("daily", CST_SCHEDULE_BACKUP, "pool:images"), "repo", "/b"),
        with_option(schedule_make("weekly", CST_SCHEDULE_PROVE, ""), "repo", "/b"),
        with_option(schedule_make("weekly", CST_SCHEDULE_COPY, "a/b"), "to", "storage+ssh://h/"),
        schedule_make("hourly", CST_SCHEDULE_TRASH_EMPTY, ""),
        schedule_make("monthly", CST_SCHEDULE_ROTATE_CHECK, ""),
        with_option(schedule_make("daily", CST_SCHEDULE_CONSOLIDATE, "images tag:gold"),
                    "keep-layers", "4"),
    };

    for (guint i = 0; i < G_N_ELEMENTS(schedules); i++) {
        g_autoptr(GError) error = NULL;

        if (!cst_schedule_check(schedules[i], &error))
            fail_msg("%s", error->message);
        cst_schedule_free(schedules[i]);
    }
}

static void options_are_replaced_and_removed(void **unused)
{
    g_autoptr(CstSchedule) schedule = schedule_make("daily", CST_SCHEDULE_BACKUP, "images");

    cst_schedule_set_option(schedule, "repo", "/a");
    cst_schedule_set_option(schedule, "consistency", "crash");
    cst_schedule_set_option(schedule, "repo", "/b=c");
    assert_string_equal(cst_schedule_option(schedule, "repo"), "/b=c");
    assert_string_equal(schedule->options[0], "consistency=crash");
    cst_schedule_set_option(schedule, "repo", NULL);
    assert_null(cst_schedule_option(schedule, "repo"));
    assert_int_equal(g_strv_length(schedule->options), 1);
}

static void selectors_keep_their_kind(void **unused)
{
    static const char *const texts[][2] = {
        {"images", "pool:images"},          {"pool:images", "pool:images"},
        {"images/a*", "volume:images/a*"},  {"volume:x/a/b", "volume:x/a/b"},
        {"machine:web 1", "machine:web 1"}, {"tag:tier:1", "tag:tier:1"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(CstSelector) selector = cst_selector_parse(texts[i][0], NULL);
        g_autofree char *text = NULL;

        assert_non_null(selector);
        text = cst_selector_format(selector);
        assert_string_equal(text, texts[i][1]);
    }
}

/* --- due times -------------------------------------------------------------------------------- */

static void assert_due(const CstSchedule *schedule, const char *now, const char *due,
                       const char *next)
{
    int64_t found_next;
    int64_t found = cst_schedule_due(schedule, seconds_of(now), NULL, &found_next);

    assert_int_equal(found, due ? seconds_of(due) : CST_CALENDAR_NEVER);
    assert_int_equal(found_next, next ? seconds_of(next) : CST_CALENDAR_NEVER);
}

static void missed_times_are_due_once(void **unused)
{
    g_autoptr(CstSchedule) schedule = schedule_make("02:00", CST_SCHEDULE_SNAPSHOT, "images");

    schedule->handled = seconds_of("2026-11-01T12:00:00Z");
    assert_due(schedule, "2026-11-02T01:59:59Z", NULL, "2026-11-02T02:00:00Z");
    assert_due(schedule, "2026-11-02T02:00:00Z", "2026-11-02T02:00:00Z", "2026-11-03T02:00:00Z");
    /* The host was off for a week: the latest time only. */
    assert_due(schedule, "2026-11-09T08:00:00Z", "2026-11-09T02:00:00Z", "2026-11-10T02:00:00Z");
    schedule->handled = seconds_of("2026-11-09T02:00:00Z");
    assert_due(schedule, "2026-11-09T08:00:00Z", NULL, "2026-11-10T02:00:00Z");
}

static void clock_that_is_put_back_makes_no_run(void **unused)
{
    g_autoptr(CstSchedule) schedule = schedule_make("hourly", CST_SCHEDULE_SNAPSHOT, "images");

    schedule->handled = seconds_of("2026-11-02T12:00:00Z");
    assert_due(schedule, "2026-11-02T08:30:00Z", NULL, "2026-11-02T13:00:00Z");
    assert_due(schedule, "2026-11-02T13:00:00Z", "2026-11-02T13:00:00Z", "2026-11-02T14:00:00Z");
    /* A run was made under a clock that was years ahead. */
    schedule->handled = seconds_of("2037-01-01T00:00:00Z");
    assert_due(schedule, "2026-11-02T13:30:00Z", "2026-11-02T13:00:00Z", "2026-11-02T14:00:00Z");
}

static void paused_schedule_is_never_due(void **unused)
{
    g_autoptr(CstSchedule) schedule = schedule_make("hourly", CST_SCHEDULE_SNAPSHOT, "images");

    schedule->paused = TRUE;
    assert_due(schedule, "2026-11-02T08:30:00Z", NULL, NULL);
}

static void backup_is_old_after_two_missed_runs(void **unused)
{
    g_autoptr(CstSchedule) schedule = schedule_make("02:00", CST_SCHEDULE_BACKUP, "images");
    int64_t newest = seconds_of("2026-03-02T02:00:00Z");

    schedule->created = seconds_of("2026-03-05T12:00:00Z");
    assert_false(cst_schedule_backup_is_old(schedule, newest, seconds_of("2026-03-04T02:59:00Z")));
    assert_true(cst_schedule_backup_is_old(schedule, newest, seconds_of("2026-03-04T03:00:00Z")));
    assert_false(cst_schedule_backup_is_old(schedule, 0, seconds_of("2026-03-07T02:59:00Z")));
    assert_true(cst_schedule_backup_is_old(schedule, 0, seconds_of("2026-03-07T03:00:00Z")));
    schedule->paused = TRUE;
    assert_false(cst_schedule_backup_is_old(schedule, 0, seconds_of("2026-03-07T03:00:00Z")));
    schedule->paused = FALSE;
    schedule->action = CST_SCHEDULE_SNAPSHOT;
    assert_false(cst_schedule_backup_is_old(schedule, 0, seconds_of("2026-03-07T03:00:00Z")));
}

static void newest_copy_is_found_in_any_order(void **unused)
{
    CstScheduleCopy first = {.time = 20}, second = {.time = 30}, third = {.time = 10};
    g_autoptr(GPtrArray) copies = g_ptr_array_new();

    assert_int_equal(cst_schedule_newest_copy(copies), 0);
    g_ptr_array_add(copies, &first);
    g_ptr_array_add(copies, &second);
    g_ptr_array_add(copies, &third);
    assert_int_equal(cst_schedule_newest_copy(copies), 30);
}

static void years_of_missed_minutes_are_found_quickly(void **unused)
{
    g_autoptr(CstSchedule) schedule = schedule_make("minutely", CST_SCHEDULE_CHECK, "images");

    schedule->handled = 1;
    assert_due(schedule, "2026-11-02T08:30:30Z", "2026-11-02T08:30:00Z", "2026-11-02T08:31:00Z");
}

/* The local time is ambiguous at the end of daylight saving time. */
static void copy_names_have_the_time_in_utc(void **unused)
{
    g_autoptr(CstSchedule) schedule = schedule_make("daily", CST_SCHEDULE_SNAPSHOT, "images");
    g_autofree char *name = cst_schedule_copy_name(schedule, seconds_of("2026-12-01T01:00:00Z"));

    assert_string_equal(name, "nightly-20261201T010000Z");
}

/* --- simulation ------------------------------------------------------------------------------- */

/* Appends a line for each run. */
static gboolean record_step(const CstScheduleStep *step, gpointer data)
{
    GString *text = data;

    g_string_append_printf(text, "%" G_GINT64_FORMAT " keeps", step->time);
    for (guint i = 0; i < step->n_kept; i++)
        g_string_append_printf(text, " %" G_GINT64_FORMAT, step->kept[i]);
    g_string_append(text, " prunes");
    for (guint i = 0; i < step->n_pruned; i++)
        g_string_append_printf(text, " %" G_GINT64_FORMAT, step->pruned[i]);
    g_string_append_c(text, '\n');
    return TRUE;
}

/* A run as the daemon makes it: a copy of the due time, then the decision about all copies. */
static void real_run(CstSchedule *schedule, int64_t due, GArray *copies, GTimeZone *zone,
                     GString *text)
{
    g_autoptr(GPtrArray) reasons = NULL;
    g_autoptr(GString) pruned = g_string_new(" prunes");

    g_array_prepend_val(copies, due);
    reasons = cst_schedule_decide(schedule, (const gint64 *)copies->data, copies->len, zone);
    g_string_append_printf(text, "%" G_GINT64_FORMAT " keeps", due);
    for (guint i = 0, at = 0; i < reasons->len; i++) {
        gint64 time = g_array_index(copies, gint64, at);

        g_string_append_printf(reasons->pdata[i] ? text : pruned, " %" G_GINT64_FORMAT, time);
        if (reasons->pdata[i])
            at++;
        else
            g_array_remove_index(copies, at);
    }
    g_string_append_printf(text, "%s\n", pruned->str);
}

/* The clock goes on in steps of a random length, which are shorter than a period. */
static void real_runs(CstSchedule *schedule, GRand *rand, int64_t from, int64_t until,
                      GTimeZone *zone, GString *text)
{
    g_autoptr(GArray) copies = g_array_new(FALSE, FALSE, sizeof(gint64));
    int64_t now = from;

    schedule->handled = from;
    for (;;) {
        int64_t next, due = cst_schedule_due(schedule, now, zone, &next);
        int64_t later = now + g_rand_int_range(rand, 1, 5 * HOUR);

        if (due != CST_CALENDAR_NEVER) {
            schedule->handled = due;
            real_run(schedule, due, copies, zone, text);
        }
        if (now >= until)
            break;
        now = MIN(until, MIN(next, later));
    }
}

static void runs_make_and_remove_the_copies_of_the_simulation(void **unused)
{
    static const char *const expressions[] = {"hourly", "02:30", "Mon..Fri 02:00", "0/6:15",
                                              "*-*~1 03:00"};
    static const char *const zones[] = {"UTC", "Europe/Berlin", "Australia/Lord_Howe"};
    guint32 seed = g_random_int();
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

    print_message("seed %u\n", seed);
    for (guint i = 0; i < G_N_ELEMENTS(expressions) * G_N_ELEMENTS(zones); i++) {
        g_autoptr(CstSchedule) schedule =
            schedule_make(expressions[i / G_N_ELEMENTS(zones)], CST_SCHEDULE_SNAPSHOT, "images");
        g_autoptr(GTimeZone) zone = g_time_zone_new_identifier(zones[i % G_N_ELEMENTS(zones)]);
        g_autoptr(GString) simulated = g_string_new(NULL), happened = g_string_new(NULL);
        /* With both changes of daylight saving time. */
        int64_t from = seconds_of("2026-01-15T00:00:00Z"), until = from + 330 * (int64_t)DAY;

        schedule->keep = (CstRetention){g_rand_int_range(rand, 0, 4), g_rand_int_range(rand, 0, 9),
                                        g_rand_int_range(rand, 0, 9), g_rand_int_range(rand, 0, 5),
                                        g_rand_int_range(rand, 0, 5), 1};
        schedule->keep_min = (uint32_t)g_rand_int_range(rand, 0, 6);
        cst_schedule_simulate(schedule, NULL, 0, from, until, zone, record_step, simulated);
        real_runs(schedule, rand, from, until, zone, happened);
        assert_true(simulated->len > 0);
        assert_string_equal(simulated->str, happened->str);
    }
}

static gboolean count_kept(const CstScheduleStep *step, gpointer data)
{
    *(guint *)data = step->n_kept;
    return TRUE;
}

static void minimum_and_no_rule_keep(void **unused)
{
    g_autoptr(CstSchedule) schedule = schedule_make("hourly", CST_SCHEDULE_SNAPSHOT, "images");
    const gint64 existing[] = {1000, 3000, 2000};
    guint kept = 0;

    cst_schedule_simulate(schedule, existing, 3, 3600, 10 * HOUR, NULL, count_kept, &kept);
    assert_int_equal(kept, 12);
    schedule->keep_min = 5;
    schedule->keep.last = 1;
    cst_schedule_simulate(schedule, existing, 3, 3600, 10 * HOUR, NULL, count_kept, &kept);
    assert_int_equal(kept, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_definitions_name_the_part),
        cmocka_unit_test(right_definitions_are_accepted),
        cmocka_unit_test(options_are_replaced_and_removed),
        cmocka_unit_test(selectors_keep_their_kind),
        cmocka_unit_test(missed_times_are_due_once),
        cmocka_unit_test(clock_that_is_put_back_makes_no_run),
        cmocka_unit_test(paused_schedule_is_never_due),
        cmocka_unit_test(backup_is_old_after_two_missed_runs),
        cmocka_unit_test(newest_copy_is_found_in_any_order),
        cmocka_unit_test(years_of_missed_minutes_are_found_quickly),
        cmocka_unit_test(copy_names_have_the_time_in_utc),
        cmocka_unit_test(runs_make_and_remove_the_copies_of_the_simulation),
        cmocka_unit_test(minimum_and_no_rule_keep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
