/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events of a connection that wait for delivery, and their subscribers.
 *
 * Events arrive in any thread (embedded) or while a call waits for its reply (remote). They are
 * delivered only inside cst_conn_wait_events(), in the thread of the connection. Until then they
 * are queued. A full queue drops its oldest event, so that a program that never waits uses bounded
 * memory. The lock guards the queue. The subscriptions belong to the connection's thread.
 */
#include "event_queue.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

#define QUEUE_MAX 16384 /* events */

typedef struct {
    guint id;
    CstConnEventType type;
    gboolean any;
    CstUuid uuid; /**< unless any */
    CstConnEventFunc func;
    gpointer data;
} Subscription;

static CstConnEvent *event_copy(const CstConnEvent *event)
{
    CstConnEvent *copy = g_memdup2(event, sizeof(*event));

    copy->pool = g_strdup(event->pool);
    return copy;
}

static void event_free(gpointer data)
{
    CstConnEvent *event = data;

    g_free((char *)event->pool);
    g_free(event);
}

void cst_event_queue_init(CstEventQueue *queue)
{
    g_mutex_init(&queue->lock);
    g_queue_init(&queue->events);
    queue->dropped = 0;
    queue->subs = g_array_new(FALSE, FALSE, sizeof(Subscription));
    queue->last_id = 0;
}

void cst_event_queue_clear(CstEventQueue *queue)
{
    g_queue_clear_full(&queue->events, event_free);
    g_array_unref(queue->subs);
    g_mutex_clear(&queue->lock);
}

guint cst_event_queue_subscribe(CstEventQueue *queue, CstConnEventType type, const CstUuid *uuid,
                                CstConnEventFunc func, gpointer data)
{
    Subscription sub = {
        .id = ++queue->last_id, .type = type, .any = !uuid, .func = func, .data = data};

    if (uuid)
        sub.uuid = *uuid;
    g_array_append_val(queue->subs, sub);
    return sub.id;
}

gboolean cst_event_queue_unsubscribe(CstEventQueue *queue, guint id, GError **error)
{
    for (guint i = 0; i < queue->subs->len; i++)
        if (g_array_index(queue->subs, Subscription, i).id == id) {
            g_array_remove_index(queue->subs, i);
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("no event subscription %u"), id);
}

void cst_event_queue_post(CstEventQueue *queue, const CstConnEvent *event)
{
    CstConnEvent *oldest = NULL;
    gboolean first;

    g_mutex_lock(&queue->lock);
    if (g_queue_get_length(&queue->events) >= QUEUE_MAX)
        oldest = g_queue_pop_head(&queue->events);
    /* One warning per connection, regardless of the number of lost events. */
    first = oldest && queue->dropped++ == 0;
    g_queue_push_tail(&queue->events, event_copy(event));
    g_mutex_unlock(&queue->lock);
    if (first)
        cst_log(CST_LOG_WARNING, _("the event queue is full; the oldest events are dropped"));
    if (oldest)
        event_free(oldest);
}

static gboolean subscription_matches(const Subscription *sub, const CstConnEvent *event)
{
    return sub->type == event->type && (sub->any || cst_uuid_equal(&sub->uuid, &event->uuid));
}

/*
 * Delivers an event to every subscription that existed when delivery began. A callback may change
 * the subscriptions, so the loop continues by number and not by index.
 */
static gboolean deliver_one(CstEventQueue *queue, const CstConnEvent *event)
{
    guint newest = queue->last_id, last = 0;
    gboolean reached = FALSE;

    for (;;) {
        const Subscription *next = NULL;
        Subscription sub;

        for (guint i = 0; i < queue->subs->len && !next; i++) {
            const Subscription *candidate = &g_array_index(queue->subs, Subscription, i);

            if (candidate->id > last && candidate->id <= newest)
                next = candidate;
        }
        if (!next)
            return reached;
        sub = *next;
        last = sub.id;
        if (subscription_matches(&sub, event)) {
            sub.func(event, sub.data);
            reached = TRUE;
        }
    }
}

guint cst_event_queue_deliver(CstEventQueue *queue)
{
    guint delivered = 0;

    for (;;) {
        CstConnEvent *event;

        g_mutex_lock(&queue->lock);
        event = g_queue_pop_head(&queue->events);
        g_mutex_unlock(&queue->lock);
        if (!event)
            return delivered;
        delivered += deliver_one(queue, event) ? 1 : 0;
        event_free(event);
    }
}
