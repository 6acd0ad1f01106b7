/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/**
 * Who wants which events of a connection, and the events that wait for cst_conn_wait_events().
 * Posting is safe from any thread; all else belongs to the connection's.
 */
typedef struct {
    GMutex lock;
    GQueue queue; /**< of Event, guarded by lock */
    guint dropped;
    GArray *subs; /**< of Sub */
    guint last_id;
} CstEventBox;

void cst_event_box_init(CstEventBox *box);
void cst_event_box_clear(CstEventBox *box);

guint cst_event_box_subscribe(CstEventBox *box, CstConnEventType type, const CstUuid *uuid,
                              CstConnEventFunc func, gpointer data);
/** FALSE with NOT_FOUND when there is no such subscription. */
gboolean cst_event_box_unsubscribe(CstEventBox *box, guint id, GError **error);

/**
 * Queues a copy of @event. A caller that makes calls for long without waiting for events loses the
 * oldest ones past some ten thousand.
 */
void cst_event_box_post(CstEventBox *box, const CstConnEvent *event);

/** Gives everything queued to its subscribers; the number that reached anyone. */
guint cst_event_box_deliver(CstEventBox *box);
