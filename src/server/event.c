/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Delivery of the service's events to clients, and the procedures that register for them.
 *
 * The service calls event_post() in the thread of the event. Each loop with callbacks gets a copy
 * and sends it to its registered clients. Events of one thread reach a client in order. n_callbacks
 * is a hint that saves the copy for loops without callbacks. The list of callbacks belongs to the
 * loop's thread.
 *
 * A client that does not read its events is dropped, because events must not be lost and cannot be
 * kept without limit.
 */
#include "event.h"

#include <string.h>

#include "procedures.h"
#include "server.h"

/* An event on its way to a loop; owns its strings. */
typedef struct {
    Message message;
    CstEvent event;
    char *name;
    char *usage_id;
} Posted;

/* The events of the service on the wire. An event without a procedure is not sent. */
static const struct {
    CallbackKind kind;
    int event; /* event ID that clients register for */
    int procedure;
} event_table[CST_EVENT_LAST] = {
    [CST_EVENT_POOL_LIFECYCLE] = {CALLBACK_POOL, 0, WIRE_PROC_STORAGE_POOL_EVENT_LIFECYCLE},
    [CST_EVENT_POOL_REFRESH] = {CALLBACK_POOL, 1, WIRE_PROC_STORAGE_POOL_EVENT_REFRESH},
    [CST_EVENT_SECRET_LIFECYCLE] = {CALLBACK_SECRET, 0, WIRE_PROC_SECRET_EVENT_LIFECYCLE},
    [CST_EVENT_SECRET_VALUE] = {CALLBACK_SECRET, 1, WIRE_PROC_SECRET_EVENT_VALUE_CHANGED},
};

static gboolean append_pool_event(GByteArray *buf, const CstWireHeader *header,
                                  const Callback *callback, const CstEvent *event)
{
    wire_pool_lifecycle_event lifecycle = {.callback = callback->id, .event = event->kind};
    wire_pool_refresh_event refresh = {.callback = callback->id};

    lifecycle.pool.name = refresh.pool.name = (char *)event->name;
    memcpy(lifecycle.pool.uuid, event->uuid.bytes, sizeof(lifecycle.pool.uuid));
    memcpy(refresh.pool.uuid, event->uuid.bytes, sizeof(refresh.pool.uuid));
    if (event->type == CST_EVENT_POOL_REFRESH)
        return cst_wire_append(buf, header, (xdrproc_t)xdr_wire_pool_refresh_event, &refresh, NULL);
    return cst_wire_append(buf, header, (xdrproc_t)xdr_wire_pool_lifecycle_event, &lifecycle, NULL);
}

static gboolean append_secret_event(GByteArray *buf, const CstWireHeader *header,
                                    const Callback *callback, const CstEvent *event)
{
    wire_secret secret = {.usage_type = event->usage_type, .usage_id = (char *)event->usage_id};
    wire_secret_lifecycle_event lifecycle = {.callback = callback->id, .event = event->kind};
    wire_secret_value_event value = {.callback = callback->id};

    memcpy(secret.uuid, event->uuid.bytes, sizeof(secret.uuid));
    lifecycle.secret = value.secret = secret;
    if (event->type == CST_EVENT_SECRET_VALUE)
        return cst_wire_append(buf, header, (xdrproc_t)xdr_wire_secret_value_event, &value, NULL);
    return cst_wire_append(buf, header, (xdrproc_t)xdr_wire_secret_lifecycle_event, &lifecycle,
                           NULL);
}

static void send_event(Client *client, const Callback *callback, const CstEvent *event)
{
    CstWireHeader header = {.program = WIRE_REMOTE_PROGRAM,
                            .version = WIRE_VERSION,
                            .procedure = event_table[event->type].procedure,
                            .type = WIRE_MESSAGE};
    guint before;
    GByteArray *buf = out_begin(&client->out, TRUE, &before);

    /*
     * If the encoding fails, the buffer is unchanged. The error is ignored, because the client has
     * no call to answer.
     */
    if (callback->kind == CALLBACK_POOL)
        append_pool_event(buf, &header, callback, event);
    else
        append_secret_event(buf, &header, callback, event);
    out_appended(&client->out, before);
    client_sends(client);
}

static gboolean callback_matches(const Callback *callback, const CstEvent *event)
{
    return callback->kind == event_table[event->type].kind &&
           callback->event == event_table[event->type].event &&
           (!callback->has_uuid || cst_uuid_equal(&callback->uuid, &event->uuid));
}

/*
 * Returns the bytes of unread events at which the client is dropped. The limit is lower if its user
 * has used up the budget.
 */
static size_t max_unread(const Client *client)
{
    size_t most = client->loop->server->options.max_events;

    return user_is_over(client->user) ? most / 16 : most;
}

static void event_send_to_client(Client *client, const CstEvent *event)
{
    for (guint i = 0; client->callbacks && i < client->callbacks->len; i++) {
        const Callback *callback = g_ptr_array_index(client->callbacks, i);

        if (callback_matches(callback, event))
            send_event(client, callback, event);
    }
    if (client->out.event_bytes > max_unread(client))
        client_drop(client, "it does not read its events");
}

static void event_send_to_all(Loop *loop, Message *message)
{
    Posted *posted = (Posted *)message;

    for (GList *link = loop->clients.head, *next; link; link = next) {
        Client *client = link->data;

        /* event_send_to_client() may drop the client. */
        next = link->next;
        if (client->callbacks && client->state == CLIENT_OPEN)
            event_send_to_client(client, &posted->event);
    }
    g_free(posted->name);
    g_free(posted->usage_id);
    g_free(posted);
}

void event_post(const CstEvent *event, gpointer data)
{
    CstWireServer *server = data;

    if (event->type >= CST_EVENT_LAST || event_table[event->type].procedure == 0)
        return;
    for (guint i = 0; i < server->n_loops; i++) {
        Posted *posted;

        if (g_atomic_int_get(&server->loops[i]->n_callbacks) == 0)
            continue;
        posted = g_new0(Posted, 1);
        posted->message.func = event_send_to_all;
        posted->event = *event;
        posted->event.name = posted->name = g_strdup(event->name ? event->name : "");
        posted->event.usage_id = posted->usage_id =
            g_strdup(event->usage_id ? event->usage_id : "");
        loop_post(server->loops[i], &posted->message);
    }
}

/* --- registering ----------------------------------------------------------------------------- */

#define CALLBACKS_MAX 1024 /* for one client; each event is compared with all of them */

void callbacks_clear(Client *client)
{
    if (!client->callbacks)
        return;
    g_atomic_int_add(&client->loop->n_callbacks, -(gint)client->callbacks->len);
    g_clear_pointer(&client->callbacks, g_ptr_array_unref);
}

static gboolean callbacks_are_same(const Callback *a, const Callback *b)
{
    return a->kind == b->kind && a->event == b->event && a->has_uuid == b->has_uuid &&
           (a->kind != CALLBACK_OTHER || a->procedure == b->procedure) &&
           (!a->has_uuid || cst_uuid_equal(&a->uuid, &b->uuid));
}

static gboolean add_callback(Client *client, const Callback *callback, int *ret_id, GError **error)
{
    Callback *added;

    if (!client->callbacks)
        client->callbacks = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < client->callbacks->len; i++)
        if (callbacks_are_same(g_ptr_array_index(client->callbacks, i), callback))
            return cst_fail(error, CST_ERROR_INVALID, _("event callback already tracked"));
    if (client->callbacks->len >= CALLBACKS_MAX)
        return cst_fail(error, CST_ERROR_RPC, _("%d event callbacks are registered already"),
                        CALLBACKS_MAX);
    added = g_memdup2(callback, sizeof(*callback));
    *ret_id = added->id = client->next_callback++;
    g_ptr_array_add(client->callbacks, added);
    g_atomic_int_inc(&client->loop->n_callbacks);
    return TRUE;
}

static gboolean remove_callback(Client *client, CallbackKind kind, int id, const char *what,
                                GError **error)
{
    for (guint i = 0; client->callbacks && i < client->callbacks->len; i++) {
        const Callback *callback = g_ptr_array_index(client->callbacks, i);

        /* All kinds share one counter of IDs, so an ID of another kind is not found. */
        if (callback->id != id || callback->kind != kind)
            continue;
        g_ptr_array_remove_index_fast(client->callbacks, i);
        g_atomic_int_add(&client->loop->n_callbacks, -1);
        return TRUE;
    }
    return cst_fail(error, CST_ERROR_INTERNAL, _("%s event callback %d not registered"), what, id);
}

static gboolean check_event(int event, int last, const char *what, GError **error)
{
    if (event < 0 || event > last)
        return cst_fail(error, CST_ERROR_INTERNAL, _("unsupported %s event ID %d"), what, event);
    return TRUE;
}

static gboolean pool_register(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_pool_event_args *args = data;
    Callback callback = {.kind = CALLBACK_POOL, .event = args->event};

    if (!check_event(args->event, 1, "storage pool", error))
        return FALSE;
    /* The pool must exist. For a secret only the UUID is stored, without a check. */
    if (args->pool) {
        g_autoptr(CstPool) pool = cst_api_pool(call->service, args->pool, error);

        if (!pool)
            return FALSE;
        callback.has_uuid = TRUE;
        callback.uuid = *cst_pool_uuid(pool);
    }
    return add_callback(client_of(call), &callback, &((wire_int *)ret)->value, error);
}

static gboolean pool_deregister(CstApiCall *call, const void *data, void *ret, GError **error)
{
    return remove_callback(client_of(call), CALLBACK_POOL, ((const wire_int *)data)->value,
                           "storage pool", error);
}

static gboolean secret_register(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_secret_event_args *args = data;
    Callback callback = {.kind = CALLBACK_SECRET, .event = args->event};

    if (!check_event(args->event, 1, "secret", error))
        return FALSE;
    if (args->secret) {
        callback.has_uuid = TRUE;
        memcpy(callback.uuid.bytes, args->secret->uuid, sizeof(callback.uuid.bytes));
    }
    return add_callback(client_of(call), &callback, &((wire_int *)ret)->value, error);
}

static gboolean secret_deregister(CstApiCall *call, const void *data, void *ret, GError **error)
{
    return remove_callback(client_of(call), CALLBACK_SECRET, ((const wire_int *)data)->value,
                           "secret", error);
}

/*
 * Domains, networks and devices do not exist here, so these events never occur. The registrations
 * succeed, so that a client that registers for all events needs no special case and does not poll.
 */
static gboolean other_register(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const int *event = data; /* the first field of all of these arguments */
    Callback callback = {
        .kind = CALLBACK_OTHER, .procedure = call->procedure->number, .event = *event};

    return add_callback(client_of(call), &callback, &((wire_int *)ret)->value, error);
}

/* The registration procedure from before callback IDs; its reply is empty. */
static gboolean old_register(CstApiCall *call, const void *data, void *ret, GError **error)
{
    int id;
    Callback callback = {.kind = CALLBACK_OTHER,
                         .procedure = call->procedure->number,
                         .event = ((const wire_int *)data)->value};

    return add_callback(client_of(call), &callback, &id, error);
}

static gboolean other_deregister(CstApiCall *call, const void *data, void *ret, GError **error)
{
    return remove_callback(client_of(call), CALLBACK_OTHER, ((const wire_int *)data)->value, "",
                           error);
}

#define ROW(number, ...) CST_REMOTE_PROCEDURE(number, INLINE, READ, RPC, __VA_ARGS__)

const CstProcedure procedures_event[] = {
    ROW(CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY, "virConnectStoragePoolEventRegisterAny",
        pool_event_args, int, pool_register),
    ROW(CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY, "virConnectStoragePoolEventDeregisterAny", int,
        void, pool_deregister),
    ROW(CONNECT_SECRET_EVENT_REGISTER_ANY, "virConnectSecretEventRegisterAny", secret_event_args,
        int, secret_register),
    ROW(CONNECT_SECRET_EVENT_DEREGISTER_ANY, "virConnectSecretEventDeregisterAny", int, void,
        secret_deregister),
    ROW(CONNECT_DOMAIN_EVENT_REGISTER_ANY, "virConnectDomainEventRegisterAny", int, void,
        old_register),
    ROW(CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, "virConnectDomainEventRegisterAny",
        domain_event_args, int, other_register),
    ROW(CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY, "virConnectDomainEventDeregisterAny", int,
        void, other_deregister),
    ROW(CONNECT_NETWORK_EVENT_REGISTER_ANY, "virConnectNetworkEventRegisterAny", network_event_args,
        int, other_register),
    ROW(CONNECT_NETWORK_EVENT_DEREGISTER_ANY, "virConnectNetworkEventDeregisterAny", int, void,
        other_deregister),
    ROW(CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY, "virConnectNodeDeviceEventRegisterAny",
        node_device_event_args, int, other_register),
    ROW(CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY, "virConnectNodeDeviceEventDeregisterAny", int,
        void, other_deregister),
    {0},
};
