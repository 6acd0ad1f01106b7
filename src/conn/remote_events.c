/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events of a remote connection.
 *
 * libvirt allows one registration per event type and object, so subscriptions with the same type
 * and object share one. The server sends one message per registration. So an object with a
 * registration of its own and one for all objects is reported twice, and the second message is
 * dropped.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "remote_private.h"

/* A registration at the server, shared by the subscriptions of its type and object. */
typedef struct {
    CstConnEventType type;
    gboolean any;
    CstUuid uuid; /**< unless any */
    int callback; /**< number that the server assigned */
    GArray *subs; /**< of guint: numbers of our subscriptions */
} Registration;

/* libvirt's numbers of event types, which count from 0 for pools and for secrets. */
enum { EVENT_LIFECYCLE = 0, EVENT_SECOND = 1 };

typedef struct {
    gboolean secret;
    int event;
} Kind;

static const Kind kinds[CST_CONN_EVENT_CLOSED] = {
    [CST_CONN_EVENT_POOL_LIFECYCLE] = {FALSE, EVENT_LIFECYCLE},
    [CST_CONN_EVENT_POOL_REFRESH] = {FALSE, EVENT_SECOND},
    [CST_CONN_EVENT_SECRET_LIFECYCLE] = {TRUE, EVENT_LIFECYCLE},
    [CST_CONN_EVENT_SECRET_VALUE] = {TRUE, EVENT_SECOND},
};

/* --- messages -------------------------------------------------------------------------------- */

/*
 * Whether to deliver the message of registration @callback. The first registration that covers the
 * object is responsible. A message without any such registration belongs to a registration that
 * still waits for its reply.
 */
static gboolean is_responsible(const CstRemote *remote, CstConnEventType type, const CstUuid *uuid,
                               int callback)
{
    for (guint i = 0; i < remote->registrations->len; i++) {
        const Registration *reg = &g_array_index(remote->registrations, Registration, i);

        if (reg->type == type && (reg->any || cst_uuid_equal(&reg->uuid, uuid)))
            return reg->callback == callback;
    }
    return remote->registering;
}

static void remote_event_post(CstRemote *remote, CstConnEventType type, int callback, int kind,
                              const char uuid[CST_UUID_LEN], const char *pool)
{
    CstConnEvent event = {.type = type, .kind = kind, .pool = pool};

    memcpy(event.uuid.bytes, uuid, sizeof(event.uuid.bytes));
    if (is_responsible(remote, type, &event.uuid, callback))
        cst_event_queue_post(&remote->events, &event);
}

static void handle_pool_lifecycle(CstRemote *remote, const uint8_t *packet, size_t len)
{
    wire_pool_lifecycle_event event = {0};

    if (cst_wire_payload_decode(packet, len, (xdrproc_t)xdr_wire_pool_lifecycle_event, &event,
                                NULL))
        remote_event_post(remote, CST_CONN_EVENT_POOL_LIFECYCLE, event.callback, event.event,
                          event.pool.uuid, event.pool.name);
    xdr_free((xdrproc_t)xdr_wire_pool_lifecycle_event, (char *)&event);
}

static void handle_pool_refresh(CstRemote *remote, const uint8_t *packet, size_t len)
{
    wire_pool_refresh_event event = {0};

    if (cst_wire_payload_decode(packet, len, (xdrproc_t)xdr_wire_pool_refresh_event, &event, NULL))
        remote_event_post(remote, CST_CONN_EVENT_POOL_REFRESH, event.callback, 0, event.pool.uuid,
                          event.pool.name);
    xdr_free((xdrproc_t)xdr_wire_pool_refresh_event, (char *)&event);
}

static void handle_secret_lifecycle(CstRemote *remote, const uint8_t *packet, size_t len)
{
    wire_secret_lifecycle_event event = {0};

    if (cst_wire_payload_decode(packet, len, (xdrproc_t)xdr_wire_secret_lifecycle_event, &event,
                                NULL))
        remote_event_post(remote, CST_CONN_EVENT_SECRET_LIFECYCLE, event.callback, event.event,
                          event.secret.uuid, NULL);
    xdr_free((xdrproc_t)xdr_wire_secret_lifecycle_event, (char *)&event);
}

static void handle_secret_value(CstRemote *remote, const uint8_t *packet, size_t len)
{
    wire_secret_value_event event = {0};

    if (cst_wire_payload_decode(packet, len, (xdrproc_t)xdr_wire_secret_value_event, &event, NULL))
        remote_event_post(remote, CST_CONN_EVENT_SECRET_VALUE, event.callback, 0, event.secret.uuid,
                          NULL);
    xdr_free((xdrproc_t)xdr_wire_secret_value_event, (char *)&event);
}

static void on_message(const CstWireHeader *header, const uint8_t *packet, size_t len,
                       gpointer data)
{
    if (header->program != WIRE_REMOTE_PROGRAM)
        return;
    switch (header->procedure) {
    case WIRE_PROC_STORAGE_POOL_EVENT_LIFECYCLE: handle_pool_lifecycle(data, packet, len); break;
    case WIRE_PROC_STORAGE_POOL_EVENT_REFRESH: handle_pool_refresh(data, packet, len); break;
    case WIRE_PROC_SECRET_EVENT_LIFECYCLE: handle_secret_lifecycle(data, packet, len); break;
    case WIRE_PROC_SECRET_EVENT_VALUE_CHANGED: handle_secret_value(data, packet, len); break;
    default: break;
    }
}

/* --- registrations --------------------------------------------------------------------------- */

static void registration_clear(gpointer data)
{
    g_array_unref(((Registration *)data)->subs);
}

void cst_remote_events_init(CstRemote *remote)
{
    cst_event_queue_init(&remote->events);
    remote->registrations = g_array_new(FALSE, TRUE, sizeof(Registration));
    g_array_set_clear_func(remote->registrations, registration_clear);
    cst_wire_client_on_message(remote->client, on_message, remote);
}

void cst_remote_events_clear(CstRemote *remote)
{
    g_array_unref(remote->registrations);
    cst_event_queue_clear(&remote->events);
}

static Registration *find_registration(CstRemote *remote, CstConnEventType type,
                                       const CstUuid *uuid)
{
    for (guint i = 0; i < remote->registrations->len; i++) {
        Registration *reg = &g_array_index(remote->registrations, Registration, i);

        if (reg->type == type && reg->any == !uuid && (!uuid || cst_uuid_equal(&reg->uuid, uuid)))
            return reg;
    }
    return NULL;
}

static gboolean register_pool(CstRemote *remote, int event, const CstUuid *uuid,
                              wire_int *ret_callback, GError **error)
{
    wire_pool_args pool = {0};
    wire_pool_event_args args = {.event = event, .pool = uuid ? &pool.pool : NULL};
    wire_uuid_args named;
    gboolean ok;

    if (uuid) {
        memcpy(named.uuid, uuid->bytes, sizeof(named.uuid));
        /* The protocol requires the pool's name as well. */
        if (!cst_remote_ask(remote, WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_POOL_LOOKUP_BY_UUID,
                            xdr_wire_uuid_args, &named, xdr_wire_pool_args, &pool, error))
            return FALSE;
    }
    ok = cst_remote_ask(remote, WIRE_REMOTE_PROGRAM,
                        WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY, xdr_wire_pool_event_args,
                        &args, xdr_wire_int, ret_callback, error);
    xdr_free((xdrproc_t)xdr_wire_pool_args, (char *)&pool);
    return ok;
}

static gboolean register_secret(CstRemote *remote, int event, const CstUuid *uuid,
                                wire_int *ret_callback, GError **error)
{
    wire_secret_args secret = {0};
    wire_secret_event_args args = {.event = event, .secret = uuid ? &secret.secret : NULL};
    wire_uuid_args named;
    gboolean ok;

    if (uuid) {
        memcpy(named.uuid, uuid->bytes, sizeof(named.uuid));
        if (!cst_remote_ask(remote, WIRE_REMOTE_PROGRAM, WIRE_PROC_SECRET_LOOKUP_BY_UUID,
                            xdr_wire_uuid_args, &named, xdr_wire_secret_args, &secret, error))
            return FALSE;
    }
    ok = cst_remote_ask(remote, WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_SECRET_EVENT_REGISTER_ANY,
                        xdr_wire_secret_event_args, &args, xdr_wire_int, ret_callback, error);
    xdr_free((xdrproc_t)xdr_wire_secret_args, (char *)&secret);
    return ok;
}

/* Returns the registration for @type and @uuid. Registers at the server if necessary. */
static Registration *get_registration(CstRemote *remote, CstConnEventType type, const CstUuid *uuid,
                                      GError **error)
{
    Registration *reg = find_registration(remote, type, uuid);
    Registration new = {.type = type, .any = !uuid};
    wire_int callback = {0};
    gboolean ok;

    if (reg)
        return reg;
    remote->registering = TRUE;
    ok = kinds[type].secret ? register_secret(remote, kinds[type].event, uuid, &callback, error)
                            : register_pool(remote, kinds[type].event, uuid, &callback, error);
    remote->registering = FALSE;
    if (!ok)
        return NULL;
    new.callback = callback.value;
    if (uuid)
        new.uuid = *uuid;
    new.subs = g_array_new(FALSE, FALSE, sizeof(guint));
    g_array_append_val(remote->registrations, new);
    return &g_array_index(remote->registrations, Registration, remote->registrations->len - 1);
}

gboolean cst_remote_subscribe(gpointer self, CstConnEventType type, const CstUuid *uuid,
                              CstConnEventFunc func, gpointer data, guint *ret_id, GError **error)
{
    CstRemote *remote = self;
    Registration *reg = NULL;
    guint id;

    /* CLOSED is not an event of the server. This side generates it. */
    if (type < CST_CONN_EVENT_CLOSED) {
        reg = get_registration(remote, type, uuid, error);
        if (!reg)
            return FALSE;
    }
    id = cst_event_queue_subscribe(&remote->events, type, uuid, func, data);
    if (reg)
        g_array_append_val(reg->subs, id);
    *ret_id = id;
    return TRUE;
}

static gboolean remote_event_deregister(CstRemote *remote, guint index, GError **error)
{
    Registration *reg = &g_array_index(remote->registrations, Registration, index);
    wire_int args = {reg->callback};
    int number = kinds[reg->type].secret ? WIRE_PROC_CONNECT_SECRET_EVENT_DEREGISTER_ANY
                                         : WIRE_PROC_CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY;

    /* First, so that a message that is still in transit has no registration. */
    g_array_remove_index(remote->registrations, index);
    return cst_remote_ask(remote, WIRE_REMOTE_PROGRAM, number, xdr_wire_int, &args, NULL, NULL,
                          error);
}

gboolean cst_remote_unsubscribe(gpointer self, guint id, GError **error)
{
    CstRemote *remote = self;

    if (!cst_event_queue_unsubscribe(&remote->events, id, error))
        return FALSE;
    for (guint i = 0; i < remote->registrations->len; i++) {
        Registration *reg = &g_array_index(remote->registrations, Registration, i);

        for (guint j = 0; j < reg->subs->len; j++)
            if (g_array_index(reg->subs, guint, j) == id) {
                g_array_remove_index(reg->subs, j);
                return reg->subs->len > 0 || remote_event_deregister(remote, i, error);
            }
    }
    return TRUE;
}

/* --- waiting --------------------------------------------------------------------------------- */

/* Reports the failure of the connection as an event, once. After that, waiting is an error. */
static gboolean deliver_closed(CstRemote *remote, guint *ret_delivered, GError **error)
{
    const CstConnEvent closed = {.type = CST_CONN_EVENT_CLOSED};

    if (remote->closed_reported)
        return FALSE;
    remote->closed_reported = TRUE;
    cst_event_queue_post(&remote->events, &closed);
    *ret_delivered = cst_event_queue_deliver(&remote->events);
    if (*ret_delivered == 0)
        return FALSE;
    g_clear_error(error);
    return TRUE;
}

static gboolean fd_is_readable(int fd)
{
    GPollFD poll_fd = {fd, G_IO_IN, 0};

    return fd >= 0 && g_poll(&poll_fd, 1, 0) > 0;
}

gboolean cst_remote_wait_events(gpointer self, int timeout_ms, int wake_fd, guint *ret_delivered,
                                GError **error)
{
    CstRemote *remote = self;
    gint64 end = g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);
    guint delivered = cst_event_queue_deliver(&remote->events);
    gboolean first = TRUE;

    while (delivered == 0) {
        gint64 left = timeout_ms < 0 ? -1 : MAX(0, (end - g_get_monotonic_time() + 999) / 1000);

        /* Check the socket at least once, also with a timeout of 0. */
        if (!first && (left == 0 || fd_is_readable(wake_fd)))
            break;
        first = FALSE;
        if (!cst_wire_client_pump(remote->client, (int)left, wake_fd, error))
            return deliver_closed(remote, ret_delivered, error);
        delivered = cst_event_queue_deliver(&remote->events);
    }
    *ret_delivered = delivered;
    return TRUE;
}
