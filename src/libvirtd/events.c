/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events of pools. One connection to cisternd has the events of all pools. A table has libvirtd's
 * callbacks.
 *
 * A thread opens the connection at the first registration, and opens another one whenever it is
 * lost. Events of the time between are lost, so a new connection is followed by a refresh event of
 * each pool.
 *
 * Callbacks are called in libvirtd's event loop only, as by libvirt's own drivers, because libvirtd
 * frees the client of a callback there. They are called without the lock. A registration has a
 * reference for the table and one for each call under way, so that its data is freed afterwards.
 */
#include "events.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "link.h"
#include "symbols.h"

#define PAUSE_US 500000 /* between two attempts to connect */

typedef struct {
    gint refs; /* atomic */
    int id, event;
    virConnectPtr conn; /* the client's, with a reference */
    gboolean any;       /* of all pools */
    unsigned char uuid[VIR_UUID_BUFLEN];
    virConnectStoragePoolEventGenericCallback callback;
    void *opaque;
    virFreeCallback free_opaque;
    gboolean dead; /* guarded by the lock of events */
} Registration;

static struct {
    GMutex lock;
    GCond changed;
    GList *registrations;
    int last_id;
    gboolean has_thread;
    gboolean connected; /* the connection has not been closed */
    gboolean ready;     /* the connection has the events of all pools */
} events;

static void registration_unref(gpointer data)
{
    Registration *registration = data;

    if (!g_atomic_int_dec_and_test(&registration->refs))
        return;
    if (registration->free_opaque)
        registration->free_opaque(registration->opaque);
    virConnectClose(registration->conn);
    g_free(registration);
}

/* --- dispatch, in the event loop ------------------------------------------------------------- */

typedef struct {
    int event;
    int kind, detail; /* of a lifecycle event */
} PoolEvent;

/* Returns the registrations for @event of the pool @uuid, with references. */
static GPtrArray *registrations_for(const PoolEvent *event, const unsigned char *uuid)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(registration_unref);

    g_mutex_lock(&events.lock);
    for (GList *each = events.registrations; each; each = each->next) {
        Registration *registration = each->data;

        if (registration->event == event->event &&
            (registration->any || memcmp(registration->uuid, uuid, VIR_UUID_BUFLEN) == 0)) {
            g_atomic_int_inc(&registration->refs);
            g_ptr_array_add(found, registration);
        }
    }
    g_mutex_unlock(&events.lock);
    return found;
}

static gboolean registration_is_dead(const Registration *registration)
{
    gboolean dead;

    g_mutex_lock(&events.lock);
    dead = registration->dead;
    g_mutex_unlock(&events.lock);
    return dead;
}

static void events_dispatch(virStoragePoolPtr pool, const PoolEvent *event)
{
    unsigned char uuid[VIR_UUID_BUFLEN];
    GPtrArray *found;

    if (virStoragePoolGetUUID(pool, uuid) < 0)
        return;
    found = registrations_for(event, uuid);
    for (guint i = 0; i < found->len; i++) {
        const Registration *registration = g_ptr_array_index(found, i);
        virStoragePoolPtr copy =
            registration_is_dead(registration) ? NULL : call_copy_pool(registration->conn, pool);

        if (!copy)
            continue;
        if (event->event == VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE)
            ((virConnectStoragePoolEventLifecycleCallback)(void *)registration->callback)(
                registration->conn, copy, event->kind, event->detail, registration->opaque);
        else
            registration->callback(registration->conn, copy, registration->opaque);
        virStoragePoolFree(copy);
    }
    g_ptr_array_unref(found);
}

static void on_lifecycle(virConnectPtr conn, virStoragePoolPtr pool, int kind, int detail,
                         void *opaque)
{
    events_dispatch(pool, &(PoolEvent){VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE, kind, detail});
}

static void on_refresh(virConnectPtr conn, virStoragePoolPtr pool, void *opaque)
{
    events_dispatch(pool, &(PoolEvent){.event = VIR_STORAGE_POOL_EVENT_ID_REFRESH});
}

static void on_close(virConnectPtr conn, int reason, void *opaque)
{
    g_mutex_lock(&events.lock);
    events.connected = FALSE;
    g_cond_broadcast(&events.changed);
    g_mutex_unlock(&events.lock);
}

/* --- a new connection ------------------------------------------------------------------------ */

static void pool_free(gpointer pool)
{
    virStoragePoolFree(pool);
}

static void pools_free(void *pools)
{
    g_ptr_array_unref(pools);
}

/* Timer function, called once. */
static void dispatch_refreshes(int timer, void *opaque)
{
    GPtrArray *pools = opaque;

    virEventRemoveTimeout(timer);
    for (guint i = 0; i < pools->len; i++)
        on_refresh(NULL, g_ptr_array_index(pools, i), NULL);
}

/* Sends a refresh event of each pool. */
static void events_refresh_all(virConnectPtr conn)
{
    GPtrArray *pools = g_ptr_array_new_with_free_func(pool_free);
    virStoragePoolPtr *list = NULL;
    int count = virConnectListAllStoragePools(conn, &list, 0);

    for (int i = 0; i < count; i++)
        g_ptr_array_add(pools, list[i]);
    free(list);
    if (virEventAddTimeout(0, dispatch_refreshes, pools, pools_free) < 0)
        g_ptr_array_unref(pools);
}

/* The connection of the thread. */
typedef struct {
    virConnectPtr conn;
    int lifecycle, refresh; /* numbers of the callbacks; -1: not registered */
} Source;

/* Removes the callbacks also of a lost connection, because each has a reference to it. */
static void source_close(Source *source)
{
    if (source->lifecycle >= 0)
        virConnectStoragePoolEventDeregisterAny(source->conn, source->lifecycle);
    if (source->refresh >= 0)
        virConnectStoragePoolEventDeregisterAny(source->conn, source->refresh);
    virConnectUnregisterCloseCallback(source->conn, on_close);
    virConnectClose(source->conn);
}

/* Opens a connection with the events of all pools. Returns FALSE on failure. */
static gboolean source_open(Source *source)
{
    *source = (Source){.conn = link_open_own(), .lifecycle = -1, .refresh = -1};
    if (!source->conn)
        return FALSE;
    g_mutex_lock(&events.lock);
    events.connected = TRUE;
    g_mutex_unlock(&events.lock);
    if (virConnectRegisterCloseCallback(source->conn, on_close, NULL, NULL) == 0) {
        source->lifecycle = virConnectStoragePoolEventRegisterAny(
            source->conn, NULL, VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE,
            VIR_STORAGE_POOL_EVENT_CALLBACK(on_lifecycle), NULL, NULL);
        source->refresh = virConnectStoragePoolEventRegisterAny(
            source->conn, NULL, VIR_STORAGE_POOL_EVENT_ID_REFRESH, on_refresh, NULL, NULL);
    }
    if (source->lifecycle >= 0 && source->refresh >= 0 && virConnectIsAlive(source->conn) == 1)
        return TRUE;
    source_close(source);
    on_close(NULL, 0, NULL);
    return FALSE;
}

/* Thread function: keeps one connection open for as long as libvirtd runs. */
static gpointer events_run(gpointer data)
{
    gboolean lost = FALSE; /* events may have been lost */

    for (;;) {
        Source source;

        if (!source_open(&source)) {
            lost = TRUE;
            g_usleep(PAUSE_US);
            continue;
        }
        g_mutex_lock(&events.lock);
        events.ready = TRUE;
        g_cond_broadcast(&events.changed);
        g_mutex_unlock(&events.lock);
        if (lost)
            events_refresh_all(source.conn);
        g_mutex_lock(&events.lock);
        while (events.connected)
            g_cond_wait(&events.changed, &events.lock);
        events.ready = FALSE;
        g_mutex_unlock(&events.lock);
        lost = TRUE;
        source_close(&source);
    }
    return NULL;
}

/* --- the table ------------------------------------------------------------------------------- */

/*
 * Starts the thread and waits until it has a connection, so that a client misses no event after its
 * registration. After CLIENT_WAIT_S the registration is valid without a connection.
 */
static gboolean events_start(void)
{
    gint64 deadline = g_get_monotonic_time() + CLIENT_WAIT_S * G_USEC_PER_SEC;
    gboolean started;

    g_mutex_lock(&events.lock);
    if (!events.has_thread) {
        GThread *thread = g_thread_try_new("cistern-events", events_run, NULL, NULL);

        events.has_thread = thread != NULL;
        if (thread)
            g_thread_unref(thread);
    }
    started = events.has_thread;
    while (started && !events.ready)
        if (!g_cond_wait_until(&events.changed, &events.lock, deadline))
            break;
    g_mutex_unlock(&events.lock);
    return started;
}

static int events_register(virConnectPtr conn, virStoragePoolPtr pool, int event,
                           virConnectStoragePoolEventGenericCallback callback, void *opaque,
                           virFreeCallback free_opaque)
{
    Registration *registration;
    int id;

    if (call_refuses_clients())
        return -1;
    if (event != VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE &&
        event != VIR_STORAGE_POOL_EVENT_ID_REFRESH) {
        module_fail(VIR_ERR_NO_SUPPORT, "cisternd has no pool event with the number %d", event);
        return -1;
    }
    if (!events_start()) {
        module_fail(VIR_ERR_INTERNAL_ERROR, "%s", "cannot start the thread of events");
        return -1;
    }
    registration = g_new0(Registration, 1);
    registration->refs = 1;
    registration->event = event;
    registration->any = pool == NULL;
    registration->callback = callback;
    registration->opaque = opaque;
    registration->free_opaque = free_opaque;
    registration->conn = conn;
    virConnectRef(conn);
    if (pool)
        virStoragePoolGetUUID(pool, registration->uuid);
    g_mutex_lock(&events.lock);
    id = registration->id = ++events.last_id;
    events.registrations = g_list_append(events.registrations, registration);
    g_mutex_unlock(&events.lock);
    return id;
}

static int events_deregister(virConnectPtr conn, int id)
{
    Registration *found = NULL;

    g_mutex_lock(&events.lock);
    for (GList *each = events.registrations; each && !found; each = each->next) {
        Registration *registration = each->data;

        if (registration->id == id && registration->conn == conn) {
            found = registration;
            found->dead = TRUE;
            events.registrations = g_list_delete_link(events.registrations, each);
            break;
        }
    }
    g_mutex_unlock(&events.lock);
    if (!found) {
        module_fail(VIR_ERR_INVALID_ARG, "there is no pool event callback with the number %d", id);
        return -1;
    }
    registration_unref(found);
    return 0;
}

void events_fill_driver(StorageDriver *driver)
{
    driver->event_register = events_register;
    driver->event_deregister = events_deregister;
}
