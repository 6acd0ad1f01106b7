/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/**
 * Who wants which events of a connection, and the events that wait for cst_conn_wait_events().
 * Posting is safe from any thread; all else belongs to the connection's.
 */
typedef struct {
    GMutex lock;
    GQueue events; /**< of CstConnEvent *, oldest first; guarded by lock */
    guint dropped;
    GArray *subs; /**< of Subscription */
    guint last_id;
} CstEventQueue;

void cst_event_queue_init(CstEventQueue *queue);
void cst_event_queue_clear(CstEventQueue *queue);

guint cst_event_queue_subscribe(CstEventQueue *queue, CstConnEventType type, const CstUuid *uuid,
                                CstConnEventFunc func, gpointer data);
/** FALSE with NOT_FOUND when there is no such subscription. */
gboolean cst_event_queue_unsubscribe(CstEventQueue *queue, guint id, GError **error);

/**
 * Queues a copy of @event. A caller that makes calls for long without waiting for events loses the
 * oldest ones past some ten thousand.
 */
void cst_event_queue_post(CstEventQueue *queue, const CstConnEvent *event);

/** Gives everything queued to its subscribers; the number that reached anyone. */
guint cst_event_queue_deliver(CstEventQueue *queue);
