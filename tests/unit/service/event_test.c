/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events that are emitted while a subscriber unsubscribes (core/events.h). */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/events.h"
#include "core/pool.h"
#include "core/service.h"
#include "points.h"

typedef struct {
    CstService *service;
    guint id;
    guint calls;
    gboolean left;     /* atomic: cst_service_unsubscribe() has returned */
    gboolean too_late; /* the function ran after the return */
} Subscriber;

static void count_call(const CstEvent *event, gpointer data)
{
    ((Subscriber *)data)->calls++;
}

static void unsubscribe(gpointer data)
{
    Subscriber *subscriber = data;

    cst_service_unsubscribe(subscriber->service, subscriber->id);
    g_atomic_int_set(&subscriber->left, TRUE);
}

static gpointer run_unsubscribe(gpointer data)
{
    unsubscribe(data);
    return NULL;
}

static void emit(Fixture *f)
{
    const CstEvent event = {.type = CST_EVENT_POOL_REFRESH, .name = "p"};

    event_emit(f->service, &event);
}

/*
 * The event already has a copy of the subscriber list. The other subscriber still receives the
 * event.
 */
static void subscriber_that_has_left_gets_no_event(void **state)
{
    Fixture *f = *state;
    Subscriber leaving = {.service = f->service}, staying = {.service = f->service};

    leaving.id = cst_service_subscribe(f->service, count_call, &leaving);
    staying.id = cst_service_subscribe(f->service, count_call, &staying);
    assert_int_not_equal(leaving.id, staying.id);
    point_run("event.emit.copied", unsubscribe, &leaving);
    emit(f);
    assert_int_equal(leaving.calls, 0);
    assert_int_equal(staying.calls, 1);
    emit(f);
    assert_int_equal(leaving.calls, 0);
    assert_int_equal(staying.calls, 2);
    unsubscribe(&staying);
    emit(f);
    assert_int_equal(staying.calls, 2);
    assert_int_equal(f->service->subscribers->len, 0);
    points_clear();
}

/* Gives the unsubscribing thread time to proceed as far as it can while the function runs. */
static void outlast_unsubscription(const CstEvent *event, gpointer data)
{
    Subscriber *subscriber = data;
    GThread *thread = g_thread_new("leave", run_unsubscribe, subscriber);

    point_await("event.unsubscribe.wait", 1);
    for (int i = 0; i < 1000; i++)
        g_thread_yield();
    subscriber->too_late = g_atomic_int_get(&subscriber->left);
    subscriber->calls++;
    g_thread_unref(thread);
}

static void unsubscription_waits_for_the_call_that_runs(void **state)
{
    Fixture *f = *state;
    Subscriber subscriber = {.service = f->service};

    subscriber.id = cst_service_subscribe(f->service, outlast_unsubscription, &subscriber);
    point_watch("event.unsubscribe.wait");
    emit(f);
    while (!g_atomic_int_get(&subscriber.left))
        g_thread_yield();
    assert_false(subscriber.too_late);
    assert_int_equal(subscriber.calls, 1);
    emit(f);
    assert_int_equal(subscriber.calls, 1);
    points_clear();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(subscriber_that_has_left_gets_no_event),
        TEST(unsubscription_waits_for_the_call_that_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
