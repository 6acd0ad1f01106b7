/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventbox.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>

#define QUEUE_MAX 16384

typedef struct {
    guint id;
    CstConnEventType type;
    gboolean any;
    CstUuid uuid; /**< unless any */
    CstConnEventFunc func;
    gpointer data;
} Sub;

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

void cst_event_box_init(CstEventBox *box)
{
    g_mutex_init(&box->lock);
    g_queue_init(&box->queue);
    box->dropped = 0;
    box->subs = g_array_new(FALSE, FALSE, sizeof(Sub));
    box->last_id = 0;
}

void cst_event_box_clear(CstEventBox *box)
{
    g_queue_clear_full(&box->queue, event_free);
    g_array_unref(box->subs);
    g_mutex_clear(&box->lock);
}

guint cst_event_box_subscribe(CstEventBox *box, CstConnEventType type, const CstUuid *uuid,
                              CstConnEventFunc func, gpointer data)
{
    Sub sub = {.id = ++box->last_id, .type = type, .any = !uuid, .func = func, .data = data};

    if (uuid)
        sub.uuid = *uuid;
    g_array_append_val(box->subs, sub);
    return sub.id;
}

gboolean cst_event_box_unsubscribe(CstEventBox *box, guint id, GError **error)
{
    for (guint i = 0; i < box->subs->len; i++)
        if (g_array_index(box->subs, Sub, i).id == id) {
            g_array_remove_index(box->subs, i);
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("no event subscription %u"), id);
}

void cst_event_box_post(CstEventBox *box, const CstConnEvent *event)
{
    CstConnEvent *oldest = NULL;
    gboolean first;

    g_mutex_lock(&box->lock);
    if (g_queue_get_length(&box->queue) >= QUEUE_MAX)
        oldest = g_queue_pop_head(&box->queue);
    first = oldest && box->dropped++ == 0;
    g_queue_push_tail(&box->queue, event_copy(event));
    g_mutex_unlock(&box->lock);
    if (first)
        cst_log(CST_LOG_WARNING, _("events come faster than they are looked at; some are lost"));
    if (oldest)
        event_free(oldest);
}

static gboolean wants(const Sub *sub, const CstConnEvent *event)
{
    return sub->type == event->type && (sub->any || cst_uuid_equal(&sub->uuid, &event->uuid));
}

/** A callback may subscribe and unsubscribe: ids, not positions, say who has had the event. */
static gboolean deliver_one(CstEventBox *box, const CstConnEvent *event)
{
    guint newest = box->last_id, last = 0;
    gboolean reached = FALSE;

    for (;;) {
        const Sub *next = NULL;
        Sub sub;

        for (guint i = 0; i < box->subs->len && !next; i++) {
            const Sub *candidate = &g_array_index(box->subs, Sub, i);

            if (candidate->id > last && candidate->id <= newest)
                next = candidate;
        }
        if (!next)
            return reached;
        sub = *next;
        last = sub.id;
        if (wants(&sub, event)) {
            sub.func(event, sub.data);
            reached = TRUE;
        }
    }
}

guint cst_event_box_deliver(CstEventBox *box)
{
    guint delivered = 0;

    for (;;) {
        CstConnEvent *event;

        g_mutex_lock(&box->lock);
        event = g_queue_pop_head(&box->queue);
        g_mutex_unlock(&box->lock);
        if (!event)
            return delivered;
        delivered += deliver_one(box, event) ? 1 : 0;
        event_free(event);
    }
}
