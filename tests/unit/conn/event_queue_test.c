/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue of events of a connection: bounded, in order, and stable while callbacks change it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/error.h>

#include "event_queue.h"

#define QUEUE_MAX 16384

typedef struct {
    CstEventQueue *queue;
    GArray *kinds;     /* of int: of the events in their order */
    guint id;          /* the own subscription */
    guint end;         /* subscription that the first event ends; 0: no one */
    gpointer newcomer; /* a Listener that the first event subscribes, or NULL */
} Listener;

static void note(const CstConnEvent *event, gpointer data)
{
    Listener *listener = data, *newcomer = listener->newcomer;

    g_array_append_val(listener->kinds, event->kind);
    if (listener->end)
        assert_true(cst_event_queue_unsubscribe(listener->queue, listener->end, NULL));
    listener->end = 0;
    listener->newcomer = NULL;
    if (newcomer)
        newcomer->id = cst_event_queue_subscribe(listener->queue, CST_CONN_EVENT_POOL_REFRESH, NULL,
                                                 note, newcomer);
}

static void listen_to(Listener *listener, CstEventQueue *queue)
{
    *listener = (Listener){.queue = queue, .kinds = g_array_new(FALSE, FALSE, sizeof(int))};
    listener->id =
        cst_event_queue_subscribe(queue, CST_CONN_EVENT_POOL_REFRESH, NULL, note, listener);
}

static void post(CstEventQueue *queue, int kind)
{
    const CstConnEvent event = {.type = CST_CONN_EVENT_POOL_REFRESH, .kind = kind, .pool = "p"};

    cst_event_queue_post(queue, &event);
}

static int kind_at(const Listener *listener, guint index)
{
    assert_true(index < listener->kinds->len);
    return g_array_index(listener->kinds, int, index);
}

static void full_queue_drops_its_oldest_events(void **state)
{
    CstEventQueue queue;
    Listener listener;

    cst_event_queue_init(&queue);
    listen_to(&listener, &queue);
    for (int i = 0; i < QUEUE_MAX + 5; i++)
        post(&queue, i);
    assert_int_equal(cst_event_queue_deliver(&queue), QUEUE_MAX);
    assert_int_equal(listener.kinds->len, QUEUE_MAX);
    for (guint i = 0; i < QUEUE_MAX; i++)
        assert_int_equal(kind_at(&listener, i), i + 5);
    assert_int_equal(cst_event_queue_deliver(&queue), 0);
    g_array_unref(listener.kinds);
    cst_event_queue_clear(&queue);
}

/* The event that is being delivered came before the subscription. */
static void subscription_made_by_a_callback_gets_later_events(void **state)
{
    CstEventQueue queue;
    Listener first, second = {0};

    cst_event_queue_init(&queue);
    listen_to(&first, &queue);
    second = (Listener){.queue = &queue, .kinds = g_array_new(FALSE, FALSE, sizeof(int))};
    first.newcomer = &second;
    post(&queue, 1);
    post(&queue, 2);
    assert_int_equal(cst_event_queue_deliver(&queue), 2);
    assert_int_equal(first.kinds->len, 2);
    assert_int_equal(second.kinds->len, 1);
    assert_int_equal(kind_at(&second, 0), 2);
    g_array_unref(first.kinds);
    g_array_unref(second.kinds);
    cst_event_queue_clear(&queue);
}

/* Its own, an earlier one, and a later one; no other subscription misses the event for that. */
static void subscription_ended_by_a_callback_gets_no_event(void **state)
{
    for (int ended = 0; ended < 3; ended++) {
        CstEventQueue queue;
        Listener listeners[3];

        cst_event_queue_init(&queue);
        for (int i = 0; i < 3; i++)
            listen_to(&listeners[i], &queue);
        listeners[1].end = listeners[ended].id;
        post(&queue, 7);
        post(&queue, 8);
        assert_int_equal(cst_event_queue_deliver(&queue), 2);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(listeners[i].kinds->len, i != ended ? 2 : ended < 2 ? 1 : 0);
            g_array_unref(listeners[i].kinds);
        }
        cst_event_queue_clear(&queue);
    }
}

static void event_without_a_subscription_is_not_counted(void **state)
{
    CstEventQueue queue;
    Listener listener;

    cst_event_queue_init(&queue);
    post(&queue, 1);
    assert_int_equal(cst_event_queue_deliver(&queue), 0);
    listen_to(&listener, &queue);
    post(&queue, 2);
    assert_true(cst_event_queue_unsubscribe(&queue, listener.id, NULL));
    assert_int_equal(cst_event_queue_deliver(&queue), 0);
    assert_false(cst_event_queue_unsubscribe(&queue, listener.id, NULL));
    g_array_unref(listener.kinds);
    cst_event_queue_clear(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_queue_drops_its_oldest_events),
        cmocka_unit_test(subscription_made_by_a_callback_gets_later_events),
        cmocka_unit_test(subscription_ended_by_a_callback_gets_no_event),
        cmocka_unit_test(event_without_a_subscription_is_not_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
