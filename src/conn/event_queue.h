/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/**
 * The subscriptions of a connection and the events that wait for cst_conn_wait_events(). Any thread
 * may post events. All other functions belong to the thread of the connection.
 */
typedef struct {
    GMutex lock;
    GQueue events; /**< of CstConnEvent *, oldest first; guarded by lock */
    guint dropped; /**< events lost because the queue was full; guarded by lock */
    GArray *subs;  /**< of Subscription */
    guint last_id;
} CstEventQueue;

/** Makes an empty queue without subscriptions. */
void cst_event_queue_init(CstEventQueue *queue);
/** Frees the queued events and the subscriptions, without delivering events. */
void cst_event_queue_clear(CstEventQueue *queue);

/** Adds a subscription and returns its number, at least 1. @uuid NULL: all objects. */
guint cst_event_queue_subscribe(CstEventQueue *queue, CstConnEventType type, const CstUuid *uuid,
                                CstConnEventFunc func, gpointer data);
/** Removes a subscription. Fails with NOT_FOUND if @id does not exist. */
gboolean cst_event_queue_unsubscribe(CstEventQueue *queue, guint id, GError **error);

/** Queues a copy of @event. Drops the oldest event if 16384 are queued. Any thread. */
void cst_event_queue_post(CstEventQueue *queue, const CstConnEvent *event);

/** Delivers all queued events. Returns the number of events that had a subscriber. */
guint cst_event_queue_deliver(CstEventQueue *queue);
