/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The writer of the log of events, and the senders of notification rules. */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <service/events.h>
#include <store/events.h>

#include "await.h"
#include "core/service.h"
#include "event/notify.h"
#include "points.h"

/* How threads other than the test's wait for a signal until a time. */
enum { WAITS_AS_USUAL, WAITS_WITHOUT_END, WAITS_END_AT_ONCE };
static gint waits;           /* atomic */
static GThread *test_thread; /* atomic */

static void set_waits(gint how)
{
    g_atomic_pointer_set(&test_thread, g_thread_self());
    g_atomic_int_set(&waits, how);
}

gboolean __real_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end);
gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end);

gboolean __wrap_g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
    gint how = g_thread_self() == g_atomic_pointer_get(&test_thread) ? WAITS_AS_USUAL
                                                                     : g_atomic_int_get(&waits);

    if (how == WAITS_AS_USUAL)
        return __real_g_cond_wait_until(cond, mutex, end);
    if (how == WAITS_END_AT_ONCE)
        return FALSE;
    g_cond_wait(cond, mutex);
    return TRUE;
}

static void add_second(gpointer log)
{
    event_log_add(log, CST_EVENT_JOB_DONE, "pool", "second", "m");
}

static void write_count(gpointer count)
{
    g_atomic_int_inc((gint *)count);
}

/* Returns the objects of all events, separated by blanks. */
static char *recorded(Fixture *f)
{
    const CstEventQuery query = {.max = 100};
    int64_t last;
    g_autoptr(GPtrArray) rows = cst_service_events(f->service, &query, &last, NULL);
    GString *text = g_string_new(NULL);

    assert_non_null(rows);
    for (guint i = 0; i < rows->len; i++)
        g_string_append_printf(text, "%s%s", i ? " " : "",
                               ((const CstEventRecord *)rows->pdata[i])->object);
    return g_string_free(text, FALSE);
}

static void event_that_comes_during_a_write_is_written(void **state)
{
    Fixture *f = *state;
    EventLog *log = event_log_new(f->paths, 7);
    g_autofree char *text = NULL;

    point_run("event_log.write", add_second, log);
    event_log_add(log, CST_EVENT_JOB_DONE, "pool", "first", "m");
    event_log_free(log);
    text = recorded(f);
    assert_string_equal(text, "first second");
    points_clear();
}

static gpointer run_free(gpointer log)
{
    event_log_free(log);
    return NULL;
}

static void end_of_the_log_waits_for_the_write(void **state)
{
    Fixture *f = *state;
    EventLog *log = event_log_new(f->paths, 7);
    g_autofree char *before = NULL, *after = NULL;
    GThread *thread;

    point_hold("event_log.write");
    point_watch("event_log.free.wait");
    event_log_add(log, CST_EVENT_JOB_DONE, "pool", "first", "m");
    thread = g_thread_new("free", run_free, log);
    point_await("event_log.free.wait", 1);
    before = recorded(f);
    assert_string_equal(before, "");
    point_release("event_log.write");
    g_thread_join(thread);
    after = recorded(f);
    assert_string_equal(after, "first");
    points_clear();
}

/* A directory in the place of the database. */
static char *database_block(Fixture *f)
{
    char *path = g_build_filename(f->paths->data_dir, "events.db", NULL);

    assert_int_equal(g_mkdir_with_parents(path, 0700), 0);
    return path;
}

static void events_of_a_failed_write_are_written_later(void **state)
{
    Fixture *f = *state;
    EventLog *log = event_log_new(f->paths, 7);
    g_autofree char *path = database_block(f);
    g_autofree char *text = NULL;
    gint writes = 0;

    event_log_set_written(log, write_count, &writes);
    set_waits(WAITS_END_AT_ONCE);
    /* The second event comes during the first write, so each later write has both. */
    point_run("event_log.write", add_second, log);
    point_watch("event_log.retry");
    event_log_add(log, CST_EVENT_POOL_WARN, "pool", "first", "m");
    point_await("event_log.retry", 3);
    assert_int_equal(rmdir(path), 0);
    AWAIT(g_atomic_int_get(&writes) == 1);
    set_waits(WAITS_AS_USUAL);
    event_log_free(log);
    text = recorded(f);
    assert_string_equal(text, "first second");
    points_clear();
}

static void events_of_failed_writes_are_bounded(void **state)
{
    Fixture *f = *state;
    EventLog *log = event_log_new(f->paths, 7);
    g_autofree char *path = database_block(f);
    const CstEventQuery query = {.kind = "events-lost", .max = 100};
    g_autoptr(GPtrArray) rows = NULL;
    int64_t last;

    point_hold("event_log.write");
    point_watch("event_log.retry");
    event_log_add(log, CST_EVENT_JOB_DONE, "pool", "p", "m");
    point_await("event_log.write", 1);
    for (int i = 0; i < 10007; i++)
        event_log_add(log, CST_EVENT_JOB_DONE, "pool", "p", "m");
    point_release("event_log.write");
    point_await("event_log.retry", 1);
    assert_int_equal(rmdir(path), 0);
    event_log_free(log);
    rows = cst_service_events(f->service, &query, &last, NULL);
    assert_int_equal(rows->len, 1);
    assert_true(g_str_has_prefix(((const CstEventRecord *)rows->pdata[0])->message, "8 events"));
    points_clear();
}

static void failed_write_at_the_end_loses_its_events_only(void **state)
{
    Fixture *f = *state;
    EventLog *log = event_log_new(f->paths, 7);
    g_autofree char *path = database_block(f);
    g_autofree char *text = NULL;

    event_log_add(log, CST_EVENT_JOB_DONE, "pool", "lost", "m");
    event_log_free(log);
    assert_int_equal(rmdir(path), 0);
    log = event_log_new(f->paths, 7);
    event_log_add(log, CST_EVENT_JOB_DONE, "pool", "kept", "m");
    event_log_free(log);
    text = recorded(f);
    assert_string_equal(text, "kept");
}

static void events_beyond_the_bound_are_counted(void **state)
{
    Fixture *f = *state;
    EventLog *log = event_log_new(f->paths, 7);
    const CstEventQuery query = {.kind = "events-lost", .max = 100};
    g_autoptr(GPtrArray) rows = NULL;
    int64_t last;

    point_hold("event_log.write");
    event_log_add(log, CST_EVENT_JOB_DONE, "pool", "p", "m");
    point_await("event_log.write", 1);
    for (int i = 0; i < 10007; i++)
        event_log_add(log, CST_EVENT_JOB_DONE, "pool", "p", "m");
    point_release("event_log.write");
    event_log_free(log);
    rows = cst_service_events(f->service, &query, &last, NULL);
    assert_int_equal(rows->len, 1);
    assert_true(g_str_has_prefix(((const CstEventRecord *)rows->pdata[0])->message, "7 events"));
    points_clear();
}

static void notes_of_a_moment_are_one_write(void **state)
{
    Fixture *f = *state;
    EventLog *log = event_log_new(f->paths, 7);
    g_autofree char *text = NULL;
    gint writes = 0;

    event_log_set_written(log, write_count, &writes);
    set_waits(WAITS_WITHOUT_END);
    point_watch("event_log.gather");
    event_log_add(log, CST_EVENT_VOLUME_CREATED, "volume", "first", "m");
    point_await("event_log.gather", 1);
    event_log_add(log, CST_EVENT_VOLUME_DELETED, "volume", "second", "m");
    event_log_free(log);
    set_waits(WAITS_AS_USUAL);
    text = recorded(f);
    assert_string_equal(text, "first second");
    assert_int_equal(writes, 1);
    points_clear();
}

static void warning_is_written_at_once(void **state)
{
    Fixture *f = *state;
    EventLog *log = event_log_new(f->paths, 7);
    gint writes = 0;

    event_log_set_written(log, write_count, &writes);
    point_watch("event_log.gather");
    event_log_add(log, CST_EVENT_POOL_WARN, "pool", "p", "m");
    AWAIT(g_atomic_int_get(&writes) == 1);
    assert_int_equal(point_passed("event_log.gather"), 0);
    event_log_add(log, CST_EVENT_POOL_STARTED, "pool", "p", "m");
    point_await("event_log.gather", 1);
    event_log_free(log);
    points_clear();
}

/* --- senders ---------------------------------------------------------------------------------- */

typedef struct {
    Fixture *f;
    CstNotifyRules *rules;
    Notifier *notifier;
    char *program, *out;
} Sending;

/* Starts a rule with a program that appends its messages to a file. */
static Sending *sending_begin(Fixture *f)
{
    Sending *sending = g_new0(Sending, 1);
    g_autofree char *script = NULL;

    sending->f = f;
    sending->program = g_build_filename(f->root, "hook", NULL);
    sending->out = g_build_filename(f->root, "out", NULL);
    script = g_strdup_printf("#!/bin/sh\ncat >>%s\necho >>%s\n", sending->out, sending->out);
    assert_true(g_file_set_contents(sending->program, script, -1, NULL));
    assert_int_equal(chmod(sending->program, 0700), 0);
    sending->rules = cst_notify_rules_new();
    assert_true(cst_notify_rules_set(sending->rules, "notify r", "events", "job-done", NULL));
    assert_true(
        cst_notify_rules_set(sending->rules, "notify r", "program", sending->program, NULL));
    assert_true(cst_notify_rules_set(sending->rules, "notify r", "interval", "0s", NULL));
    assert_true(cst_notify_rules_check(sending->rules, NULL));
    cst_service_set_notify(f->service, sending->rules);
    /* A new rule begins with the events after its first look. */
    point_watch("notify.wait");
    sending->notifier = notifier_start(f->service);
    point_await("notify.wait", 1);
    return sending;
}

static void sending_end(Sending *sending)
{
    notifier_stop(sending->notifier);
    cst_service_set_notify(sending->f->service, NULL);
    cst_notify_rules_free(sending->rules);
    g_free(sending->program);
    g_free(sending->out);
    g_free(sending);
}

static char *sending_read(const Sending *sending)
{
    char *text = NULL;

    return g_file_get_contents(sending->out, &text, NULL, NULL) ? text : g_strdup("");
}

static guint times_sent(const Sending *sending, const char *object)
{
    g_autofree char *text = sending_read(sending);
    g_autofree char *member = g_strdup_printf("\"object\":\"%s\"", object);
    guint count = 0;

    for (const char *p = text; (p = strstr(p, member)); p++)
        count++;
    return count;
}

static void sending_await(const Sending *sending, const char *object)
{
    AWAIT(times_sent(sending, object) > 0);
}

static void add_second_event(gpointer service)
{
    add_second(((CstService *)service)->events);
}

static void event_that_comes_after_a_message_is_sent_by_the_next_one(void **state)
{
    Fixture *f = *state;
    Sending *sending;

    point_run("notify.sent", add_second_event, f->service);
    sending = sending_begin(f);
    event_log_add(f->service->events, CST_EVENT_JOB_DONE, "pool", "first", "m");
    sending_await(sending, "first");
    sending_await(sending, "second");
    assert_int_equal(times_sent(sending, "first"), 1);
    sending_end(sending);
    points_clear();
}

static void stopped_sender_continues_after_its_last_message(void **state)
{
    Fixture *f = *state;
    Sending *sending;

    /* A message may be sent again after its send was cancelled. */
    point_watch("notify.sent");
    sending = sending_begin(f);
    event_log_add(f->service->events, CST_EVENT_JOB_DONE, "pool", "first", "m");
    point_await("notify.sent", 1);
    sending_end(sending);
    add_second(f->service->events);
    sending = sending_begin(f);
    sending_await(sending, "second");
    assert_int_equal(times_sent(sending, "first"), 1);
    sending_end(sending);
    points_clear();
}

/* Adds an event about @object at @time, for the log. */
static void add_record(GPtrArray *records, const char *object, gint64 time)
{
    CstEventRecord *event = g_new0(CstEventRecord, 1);

    event->time = time;
    event->kind = g_strdup("job-done");
    event->type = g_strdup("pool");
    event->object = g_strdup(object);
    event->message = g_strdup("m");
    g_ptr_array_add(records, event);
}

/* The target of the rule has not accepted messages for longer than a day. */
static void event_that_is_too_old_holds_no_other_event_back(void **state)
{
    Fixture *f = *state;
    gint64 now = g_get_real_time();
    g_autoptr(CstEvents) events = cst_events_open(f->paths, NULL);
    g_autoptr(GPtrArray) records =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_event_record_free);
    Sending *sending = sending_begin(f);

    add_record(records, "old", now - 25 * G_TIME_SPAN_HOUR);
    add_record(records, "new", now - 23 * G_TIME_SPAN_HOUR);
    assert_true(cst_events_add(events, records, NULL));
    add_second(f->service->events);
    sending_await(sending, "second");
    assert_int_equal(times_sent(sending, "new"), 1);
    assert_int_equal(times_sent(sending, "old"), 0);
    sending_end(sending);
    points_clear();
}

static void sender_that_waits_is_stopped(void **state)
{
    Sending *sending = sending_begin(*state);

    sending_end(sending);
    points_clear();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(event_that_comes_during_a_write_is_written),
        TEST(end_of_the_log_waits_for_the_write),
        TEST(events_of_a_failed_write_are_written_later),
        TEST(events_of_failed_writes_are_bounded),
        TEST(failed_write_at_the_end_loses_its_events_only),
        TEST(events_beyond_the_bound_are_counted),
        TEST(notes_of_a_moment_are_one_write),
        TEST(warning_is_written_at_once),
        TEST(event_that_comes_after_a_message_is_sent_by_the_next_one),
        TEST(stopped_sender_continues_after_its_last_message),
        TEST(event_that_is_too_old_holds_no_other_event_back),
        TEST(sender_that_waits_is_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
