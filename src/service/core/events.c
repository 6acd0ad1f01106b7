/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Delivers events to subscribers. A subscriber's function runs in the thread that caused the event,
 * one call at a time for each subscriber. Unsubscribing waits for a running call.
 *
 * The tables' lock guards the list and is not held during calls. The list is copied, with
 * references. A subscriber that unsubscribes after the copy is marked as gone.
 */
#include "events.h"

#include <base/dry_run.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <model/flags.h>

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

/* Adds the event to the log of events. */
static void pool_event_record(CstPool *pool, int kind)
{
    static const struct {
        CstEventKind kind;
        const char *word;
    } rows[] = {
        [CST_POOL_EVENT_DEFINED] = {CST_EVENT_POOL_DEFINED, N_("defined")},
        [CST_POOL_EVENT_UNDEFINED] = {CST_EVENT_POOL_UNDEFINED, N_("undefined")},
        [CST_POOL_EVENT_STARTED] = {CST_EVENT_POOL_STARTED, N_("started")},
        [CST_POOL_EVENT_STOPPED] = {CST_EVENT_POOL_STOPPED, N_("stopped")},
        [CST_POOL_EVENT_CREATED] = {CST_EVENT_POOL_BUILT, N_("built")},
        [CST_POOL_EVENT_DELETED] = {CST_EVENT_POOL_DELETED, N_("deleted")},
    };
    g_autofree char *message =
        g_strdup_printf(_("pool '%s' is %s"), pool->name, _(rows[kind].word));

    event_log_add(pool->service->events, rows[kind].kind, "pool", pool->name, message);
}

/* @object: the pool and the name of the volume. */
static char *volume_event_message(CstEventKind kind, const char *object, const char *snapshot)
{
    switch (kind) {
    case CST_EVENT_VOLUME_CREATED: return g_strdup_printf(_("volume '%s' is created"), object);
    case CST_EVENT_VOLUME_DELETED: return g_strdup_printf(_("volume '%s' is deleted"), object);
    case CST_EVENT_VOLUME_RESIZED: return g_strdup_printf(_("volume '%s' is resized"), object);
    case CST_EVENT_VOLUME_REVERTED:
        return g_strdup_printf(_("volume '%s' is reverted to snapshot '%s'"), object, snapshot);
    case CST_EVENT_SNAPSHOT_CREATED:
        return g_strdup_printf(_("snapshot '%s' of volume '%s' is created"), snapshot, object);
    default: return g_strdup_printf(_("snapshot '%s' of volume '%s' is deleted"), snapshot, object);
    }
}

void event_record_volume(CstPool *pool, CstEventKind kind, const char *volume, const char *snapshot)
{
    g_autofree char *object = g_strdup_printf("%s/%s", pool->name, volume);
    g_autofree char *message = volume_event_message(kind, object, snapshot);

    if (!cst_dry_run())
        event_log_add(pool->service->events, kind, "volume", object, message);
}

void event_record_snapshot_rename(CstPool *pool, const char *volume, const char *snapshot,
                                  const char *new_name)
{
    g_autofree char *object = g_strdup_printf("%s/%s", pool->name, volume);
    g_autofree char *message =
        g_strdup_printf(_("snapshot '%s' of volume '%s' is '%s' now"), snapshot, object, new_name);

    if (!cst_dry_run())
        event_log_add(pool->service->events, CST_EVENT_SNAPSHOT_RENAMED, "volume", object, message);
}

void event_emit_pool(CstPool *pool, CstEventType type, int kind)
{
    CstEvent event = {.type = type, .kind = kind, .uuid = pool->uuid, .name = pool->name};

    if (type == CST_EVENT_POOL_LIFECYCLE)
        pool_event_record(pool, kind);
    event_emit(pool->service, &event);
}

void event_emit_rename(CstPool *pool, const char *volume, CstPool *to, const char *new_name)
{
    g_autofree char *object = g_strdup_printf("%s/%s", pool->name, volume);
    g_autofree char *message =
        g_strdup_printf(_("volume '%s' is '%s/%s' now"), object, to->name, new_name);

    event_emit_pool(pool, CST_EVENT_POOL_REFRESH, 0);
    if (to != pool)
        event_emit_pool(to, CST_EVENT_POOL_REFRESH, 0);
    if (!cst_dry_run())
        event_log_add(pool->service->events, CST_EVENT_VOLUME_RENAMED, "volume", object, message);
}
