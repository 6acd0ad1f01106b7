/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Delivers events to subscribers. A subscriber's function runs in the thread that caused the event,
 * one call at a time for each subscriber. Unsubscribing waits for a running call.
 *
 * The tables' lock guards the list and is not held during calls. The list is copied, with
 * references. A subscriber that unsubscribes after the copy is marked as gone.
 */
#include "events.h"

#include <base/test_point.h>

#include "pool.h"
#include "service.h"

typedef struct {
    gint refs;
    guint id;
    CstEventFunc func;
    gpointer data;
    GMutex running; /* held while func runs, so that cst_service_unsubscribe() can wait for it */
    /* Guarded by running. An event that copied the list before the removal must not call func. */
    gboolean gone;
} Subscriber;

static void subscriber_unref(Subscriber *subscriber)
{
    if (!g_atomic_int_dec_and_test(&subscriber->refs))
        return;
    g_mutex_clear(&subscriber->running);
    g_free(subscriber);
}

guint cst_service_subscribe(CstService *service, CstEventFunc func, gpointer data)
{
    Subscriber *subscriber = g_new0(Subscriber, 1);

    subscriber->refs = 1;
    subscriber->func = func;
    subscriber->data = data;
    g_mutex_init(&subscriber->running);
    g_mutex_lock(&service->tables);
    if (!service->subscribers)
        service->subscribers = g_ptr_array_new_with_free_func((GDestroyNotify)subscriber_unref);
    subscriber->id = ++service->next_subscriber;
    g_ptr_array_add(service->subscribers, subscriber);
    g_mutex_unlock(&service->tables);
    return subscriber->id;
}

/* Acquiring "running" waits for the running call. Therefore @func itself must not unsubscribe. */
void cst_service_unsubscribe(CstService *service, guint id)
{
    Subscriber *found = NULL;

    g_mutex_lock(&service->tables);
    for (guint i = 0; service->subscribers && i < service->subscribers->len; i++) {
        Subscriber *subscriber = g_ptr_array_index(service->subscribers, i);

        if (subscriber->id == id) {
            g_atomic_int_inc(&subscriber->refs);
            g_ptr_array_remove_index(service->subscribers, i);
            found = subscriber;
            break;
        }
    }
    g_mutex_unlock(&service->tables);
    if (!found)
        return;
    CST_TEST_POINT("event.unsubscribe.wait");
    g_mutex_lock(&found->running);
    found->gone = TRUE;
    g_mutex_unlock(&found->running);
    subscriber_unref(found);
}

void event_emit(CstService *service, const CstEvent *event)
{
    g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func((GDestroyNotify)subscriber_unref);

    g_mutex_lock(&service->tables);
    for (guint i = 0; service->subscribers && i < service->subscribers->len; i++) {
        Subscriber *subscriber = g_ptr_array_index(service->subscribers, i);

        g_atomic_int_inc(&subscriber->refs);
        g_ptr_array_add(targets, subscriber);
    }
    g_mutex_unlock(&service->tables);
    CST_TEST_POINT("event.emit.copied");
    for (guint i = 0; i < targets->len; i++) {
        Subscriber *subscriber = g_ptr_array_index(targets, i);

        g_mutex_lock(&subscriber->running);
        if (!subscriber->gone)
            subscriber->func(event, subscriber->data);
        g_mutex_unlock(&subscriber->running);
    }
}

void event_emit_pool(CstPool *pool, CstEventType type, int kind)
{
    CstEvent event = {.type = type, .kind = kind, .uuid = pool->uuid, .name = pool->name};

    event_emit(pool->service, &event);
}
