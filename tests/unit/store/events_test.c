/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include <store/events.h>

#define SECOND G_USEC_PER_SEC

static gint64 clock_ahead; /* is added to the time of the host */

gint64 __real_g_get_real_time(void);
gint64 __wrap_g_get_real_time(void);

gint64 __wrap_g_get_real_time(void)
{
    return __real_g_get_real_time() + clock_ahead;
}

typedef struct {
    char *root;
    CstPaths *paths;
    CstEvents *events;
} Fixture;

static int events_setup(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    fixture->root = g_dir_make_tmp("cistern-events-XXXXXX", NULL);
    fixture->paths = cst_paths_new(fixture->root);
    fixture->events = cst_events_open(fixture->paths, NULL);
    *state = fixture;
    return fixture->events ? 0 : -1;
}

static int events_teardown(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", fixture->root);

    cst_events_close(fixture->events);
    cst_paths_free(fixture->paths);
    if (system(command) != 0)
        return -1;
    g_free(fixture->root);
    g_free(fixture);
    return 0;
}

static CstEventRecord event_at(const char *kind, const char *object, gint64 ago, gboolean over)
{
    return (CstEventRecord){.time = g_get_real_time() - ago * SECOND,
                            .kind = (char *)kind,
                            .severity = CST_SEVERITY_WARNING,
                            .over = over,
                            .type = (char *)"pool",
                            .object = (char *)object,
                            .uid = 5,
                            .message = (char *)"m"};
}

static void event_add(Fixture *fixture, const char *kind, const char *object, gint64 ago,
                      gboolean over)
{
    CstEventRecord event = event_at(kind, object, ago, over);
    g_autoptr(GPtrArray) rows = g_ptr_array_new();

    g_ptr_array_add(rows, &event);
    assert_true(cst_events_add(fixture->events, rows, NULL));
}

static GPtrArray *events_all(Fixture *fixture)
{
    const CstEventQuery query = {.max = 100000};
    GPtrArray *rows = cst_events_list(fixture->events, &query, NULL);

    assert_non_null(rows);
    return rows;
}

static guint events_count(Fixture *fixture)
{
    g_autoptr(GPtrArray) rows = events_all(fixture);

    return rows->len;
}

static void an_event_is_read_as_it_was_written(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GPtrArray) rows = NULL;
    const CstEventRecord *event;

    event_add(fixture, "job-failed", "p/ü'\n", 3, FALSE);
    rows = events_all(fixture);
    assert_int_equal(rows->len, 1);
    event = rows->pdata[0];
    assert_string_equal(event->kind, "job-failed");
    assert_string_equal(event->object, "p/ü'\n");
    assert_int_equal(event->severity, CST_SEVERITY_WARNING);
    assert_int_equal(event->uid, 5);
    assert_false(event->over);
    assert_true(event->id > 0);
}

/* A name may have the wildcards of SQL, and may be the begin of another name. */
static void states_of_all_volumes_of_a_pool_end_together(void **state)
{
    static const char *const objects[] = {"p_/a", "p_/b", "p_2/a", "pq/a", "p_"};
    Fixture *fixture = *state;
    g_autoptr(GPtrArray) rows = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(objects); i++)
        event_add(fixture, "chain-deep", objects[i], 9, FALSE);
    event_add(fixture, "pool-warn", "p_/a", 9, FALSE);
    event_add(fixture, "chain-deep", "p_/b", 8, TRUE);
    event_add(fixture, "chain-deep", "p_/", 7, TRUE);
    event_add(fixture, "chain-deep", "p_/", 6, TRUE);
    rows = events_all(fixture);
    assert_int_equal(rows->len, 8);
    assert_string_equal(((const CstEventRecord *)rows->pdata[6])->object, "p_/b");
    assert_string_equal(((const CstEventRecord *)rows->pdata[7])->object, "p_/a");
    assert_true(((const CstEventRecord *)rows->pdata[7])->over);
}

static void a_state_that_lasts_is_recorded_once_until_it_is_over(void **state)
{
    Fixture *fixture = *state;

    event_add(fixture, "pool-inaccessible", "p", 9, FALSE);
    event_add(fixture, "pool-inaccessible", "p", 8, FALSE);
    event_add(fixture, "pool-inaccessible", "q", 7, FALSE);
    assert_int_equal(events_count(fixture), 2);
    event_add(fixture, "pool-inaccessible", "p", 6, TRUE);
    event_add(fixture, "pool-inaccessible", "p", 5, TRUE);
    assert_int_equal(events_count(fixture), 3);
    event_add(fixture, "pool-inaccessible", "p", 4, FALSE);
    assert_int_equal(events_count(fixture), 4);
}

static void each_failure_of_a_kind_that_repeats_is_recorded(void **state)
{
    Fixture *fixture = *state;

    event_add(fixture, "run-failed", "s", 9, FALSE);
    event_add(fixture, "run-failed", "s", 8, FALSE);
    event_add(fixture, "run-failed", "s", 7, TRUE);
    event_add(fixture, "run-failed", "s", 6, TRUE);
    assert_int_equal(events_count(fixture), 3);
}

static void old_events_are_dropped_and_their_ids_are_not_used_again(void **state)
{
    Fixture *fixture = *state;
    int64_t last, later;

    event_add(fixture, "job-done", "p", (CST_EVENTS_DAYS + 1) * 86400, FALSE);
    assert_int_equal(events_count(fixture), 0);
    assert_true(cst_events_last(fixture->events, &last, NULL));
    event_add(fixture, "job-done", "p", 0, FALSE);
    assert_true(cst_events_last(fixture->events, &later, NULL));
    assert_true(later > last);
}

/* A host starts with a clock that is a year ahead. */
static void clock_that_is_ahead_does_not_empty_the_log(void **state)
{
    Fixture *fixture = *state;
    const gint64 day = 86400;

    for (gint64 i = 20; i >= 0; i--)
        event_add(fixture, "job-done", "p", i * day, FALSE);
    clock_ahead = 365 * G_TIME_SPAN_DAY;
    for (guint i = 0; i < 3; i++)
        event_add(fixture, "job-done", "q", 0, FALSE);
    clock_ahead = 0;
    assert_int_equal(events_count(fixture), 21);
}

/* Writes that were made in different hours need as many writes to be dropped. */
static void events_of_different_days_are_dropped_one_after_the_other(void **state)
{
    Fixture *fixture = *state;
    const gint64 day = 86400;

    clock_ahead = -20 * G_TIME_SPAN_DAY;
    for (gint64 i = 4; i >= 0; i--)
        event_add(fixture, "job-done", "p", i * day, FALSE);
    clock_ahead = 20 * G_TIME_SPAN_DAY;
    for (guint i = 0; i < 5; i++)
        event_add(fixture, "job-done", "p", 0, FALSE);
    clock_ahead = 0;
    assert_int_equal(events_count(fixture), 5);
}

static void the_number_of_events_is_bounded(void **state)
{
    Fixture *fixture = *state;
    CstEventRecord event = event_at("job-done", "p", 0, FALSE);
    g_autoptr(GPtrArray) rows = g_ptr_array_new();

    for (guint i = 0; i < CST_EVENTS_MAX + 10; i++)
        g_ptr_array_add(rows, &event);
    assert_true(cst_events_add(fixture->events, rows, NULL));
    assert_int_equal(events_count(fixture), CST_EVENTS_MAX);
}

static void a_query_selects_by_each_member(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GPtrArray) all = NULL;
    int64_t first;

    event_add(fixture, "job-done", "p", 100, FALSE);
    event_add(fixture, "job-failed", "q", 50, FALSE);
    event_add(fixture, "job-failed", "p", 0, FALSE);
    all = events_all(fixture);
    first = ((const CstEventRecord *)all->pdata[0])->id;
    {
        const CstEventQuery queries[] = {
            {.after = first, .max = 9},
            {.since = g_get_real_time() - 70 * SECOND, .max = 9},
            {.kind = "job-failed", .max = 9},
            {.object = "p", .max = 9},
            {.max = 2},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(queries); i++) {
            g_autoptr(GPtrArray) rows = cst_events_list(fixture->events, &queries[i], NULL);

            assert_int_equal(rows->len, 2);
        }
    }
    {
        const CstEventQuery query = {.severity = CST_SEVERITY_ERROR, .max = 9};
        g_autoptr(GPtrArray) rows = cst_events_list(fixture->events, &query, NULL);

        assert_int_equal(rows->len, 0);
    }
}

/* --- notification rules ----------------------------------------------------------------------- */

static gboolean rule_wants(Fixture *fixture, const CstEventRecord *event)
{
    gboolean wants;

    assert_true(cst_events_rule_wants(fixture->events, "r", event,
                                      g_get_real_time() - INT64_C(3600) * SECOND, &wants, NULL));
    return wants;
}

/* Records a message about @event; the rule has handled everything up to @after. */
static void rule_handled(Fixture *fixture, CstEventRecord *event, int64_t after, gint64 repeat)
{
    g_autoptr(GPtrArray) sent = g_ptr_array_new();

    if (event)
        g_ptr_array_add(sent, event);
    assert_true(cst_events_rule_handled(fixture->events, "r", after, sent,
                                        g_get_real_time() - repeat * SECOND, NULL));
}

static void a_new_rule_begins_after_the_newest_event(void **state)
{
    Fixture *fixture = *state;
    int64_t after, last;

    event_add(fixture, "job-done", "p", 0, FALSE);
    assert_true(cst_events_last(fixture->events, &last, NULL));
    assert_true(cst_events_rule_position(fixture->events, "r", &after, NULL));
    assert_int_equal(after, last);
    event_add(fixture, "job-done", "p", 0, FALSE);
    assert_true(cst_events_rule_position(fixture->events, "r", &after, NULL));
    assert_int_equal(after, last);
    rule_handled(fixture, NULL, last + 1, 3600);
    assert_true(cst_events_rule_position(fixture->events, "r", &after, NULL));
    assert_int_equal(after, last + 1);
}

static void an_equal_event_is_not_wanted_until_the_repeat(void **state)
{
    Fixture *fixture = *state;
    CstEventRecord event = event_at("job-failed", "p", 0, FALSE);
    CstEventRecord other = event_at("job-failed", "q", 0, FALSE);
    gboolean wants;

    assert_true(rule_wants(fixture, &event));
    rule_handled(fixture, &event, 1, 3600);
    assert_false(rule_wants(fixture, &event));
    assert_true(rule_wants(fixture, &other));
    /* As if the message were older than the time of the repeat. */
    assert_true(cst_events_rule_wants(fixture->events, "r", &event, g_get_real_time() + SECOND,
                                      &wants, NULL));
    assert_true(wants);
}

static void an_end_is_wanted_only_after_its_begin(void **state)
{
    Fixture *fixture = *state;
    CstEventRecord begin = event_at("pool-inaccessible", "p", 0, FALSE);
    CstEventRecord end = event_at("pool-inaccessible", "p", 0, TRUE);

    assert_false(rule_wants(fixture, &end));
    rule_handled(fixture, &begin, 1, 3600);
    assert_true(rule_wants(fixture, &end));
    rule_handled(fixture, &end, 2, 3600);
    assert_false(rule_wants(fixture, &end));
    assert_true(rule_wants(fixture, &begin));
}

static void a_message_is_forgotten_after_its_state_and_its_end(void **state)
{
    Fixture *fixture = *state;
    CstEventRecord begin = event_at("pool-inaccessible", "p", 0, FALSE);
    CstEventRecord end = event_at("pool-inaccessible", "p", 0, TRUE);

    event_add(fixture, "pool-inaccessible", "p", 5, FALSE);
    rule_handled(fixture, &begin, 1, 3600);
    /* The state lasts: its message is kept, however old it is. */
    rule_handled(fixture, NULL, 1, -10);
    assert_true(rule_wants(fixture, &end));
    /* The end is in the log, and the rule has not handled it. */
    event_add(fixture, "pool-inaccessible", "p", 4, TRUE);
    rule_handled(fixture, NULL, 1, -10);
    assert_true(rule_wants(fixture, &end));
    rule_handled(fixture, NULL, 2, -10);
    assert_false(rule_wants(fixture, &end));
}

static void the_stamp_differs_after_a_change(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *before = cst_events_stamp(fixture->paths), *same = NULL, *after = NULL;

    same = cst_events_stamp(fixture->paths);
    assert_string_equal(before, same);
    event_add(fixture, "job-done", "p", 0, FALSE);
    after = cst_events_stamp(fixture->paths);
    assert_string_not_equal(before, after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, events_setup, events_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_is_read_as_it_was_written),
        TEST(states_of_all_volumes_of_a_pool_end_together),
        TEST(a_state_that_lasts_is_recorded_once_until_it_is_over),
        TEST(each_failure_of_a_kind_that_repeats_is_recorded),
        TEST(old_events_are_dropped_and_their_ids_are_not_used_again),
        TEST(clock_that_is_ahead_does_not_empty_the_log),
        TEST(events_of_different_days_are_dropped_one_after_the_other),
        TEST(the_number_of_events_is_bounded),
        TEST(a_query_selects_by_each_member),
        TEST(a_new_rule_begins_after_the_newest_event),
        TEST(an_equal_event_is_not_wanted_until_the_repeat),
        TEST(an_end_is_wanted_only_after_its_begin),
        TEST(a_message_is_forgotten_after_its_state_and_its_end),
        TEST(the_stamp_differs_after_a_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
