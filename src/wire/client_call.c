/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls of a client: queueing them, matching replies to them by serial, and the calls with which a
 * connection begins (authentication, opening).
 *
 * A packet that no conforming server sends (a reply without a call, with another procedure or an
 * unknown status, a packet of a type that only clients send) fails the connection. Packets of
 * unknown streams are dropped, because the server may have sent them before it saw the stream's
 * end.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "client_private.h"

/* --- dispatch of packets --------------------------------------------------------------------- */

static void protocol_error(CstWireClient *client, const CstWireHeader *header, const char *what)
{
    GError *why = NULL;

    cst_fail(&why, CST_ERROR_RPC,
             _("%s (program 0x%x, procedure %d, type %u, serial %u, status %u)"), what,
             header->program, header->procedure, header->type, header->serial, header->status);
    cst_wire_client_break(client, why);
}

static void handle_message(CstWireClient *client, const CstWireHeader *header,
                           const uint8_t *packet, size_t len)
{
    /* The answer has the program, version, type and serial of the ping. */
    CstWireHeader pong = *header;

    if (header->program != WIRE_KEEPALIVE_PROGRAM) {
        if (client->message_func)
            client->message_func(header, packet, len, client->message_data);
    } else if (header->procedure == WIRE_KEEPALIVE_PING) {
        pong.procedure = WIRE_KEEPALIVE_PONG;
        cst_wire_append_raw(client->out, &pong, NULL, 0);
    }
}

static void handle_reply(CstWireClient *client, const CstWireHeader *header, const uint8_t *packet,
                         size_t len)
{
    gpointer key = GUINT_TO_POINTER(header->serial);
    CstWirePending *pending = g_hash_table_lookup(client->pending, key);
    GError *why = NULL;

    if (!pending || pending->packet) {
        protocol_error(client, header, _("the server replied to a call that was not made"));
    } else if (header->program != pending->header.program ||
               header->version != pending->header.version ||
               header->procedure != pending->header.procedure) {
        protocol_error(client, header, _("the server's reply is for another procedure"));
    } else if (header->status != WIRE_OK && header->status != WIRE_ERROR) {
        protocol_error(client, header, _("the server's reply has an invalid status"));
    } else if (pending->forgotten) {
        g_hash_table_remove(client->pending, key);
    } else {
        pending->packet = cst_memdup(packet, len, "reply", &why);
        pending->len = len;
        if (!pending->packet)
            cst_wire_client_break(client, why);
    }
}

void cst_wire_client_handle_packet(CstWireClient *client, const uint8_t *packet, size_t len)
{
    CstWireHeader header;
    CstWireStream *stream;

    cst_wire_header_read(packet, &header);
    switch (header.type) {
    case WIRE_REPLY: handle_reply(client, &header, packet, len); break;
    case WIRE_MESSAGE: handle_message(client, &header, packet, len); break;
    case WIRE_STREAM:
    case WIRE_STREAM_HOLE:
        /* Packets of a stream that has ended on this side may still arrive. */
        stream = g_hash_table_lookup(client->streams, GUINT_TO_POINTER(header.serial));
        if (stream)
            stream->handle_packet(stream, &header, packet, len);
        break;
    default:
        protocol_error(client, &header,
                       _("the server sent a packet of a type that clients do not accept"));
    }
}

void cst_wire_client_on_message(CstWireClient *client, CstWireMessageFunc func, gpointer data)
{
    client->message_func = func;
    client->message_data = data;
}

/* --- calls ----------------------------------------------------------------------------------- */

gboolean cst_wire_client_send(CstWireClient *client, const CstWireProc *proc, const void *args,
                              uint32_t *ret_serial, GError **error)
{
    CstWireHeader header = {proc->program, WIRE_VERSION, proc->procedure, WIRE_CALL, 0, WIRE_OK};
    CstWirePending *pending;

    if (!cst_wire_client_usable(client, error))
        return FALSE;
    /* A call that cannot be encoded consumes no serial. */
    header.serial = client->next_serial;
    if (!cst_wire_append(client->out, &header, proc->args, args, error))
        return FALSE;
    client->next_serial++;
    pending = g_new0(CstWirePending, 1);
    pending->header = header;
    g_hash_table_insert(client->pending, GUINT_TO_POINTER(header.serial), pending);
    *ret_serial = header.serial;
    return TRUE;
}

gboolean cst_wire_client_await(CstWireClient *client, uint32_t serial, int timeout_ms,
                               gboolean *ret_arrived, GError **error)
{
    CstWirePending *pending = g_hash_table_lookup(client->pending, GUINT_TO_POINTER(serial));
    gint64 end = g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);

    g_return_val_if_fail(pending != NULL, FALSE);
    while (!pending->packet) {
        /* Rounded up, so that the last millisecond does not turn into a busy loop. */
        gint64 left = timeout_ms < 0 ? -1 : MAX(0, (end - g_get_monotonic_time() + 999) / 1000);

        if (left == 0 && timeout_ms > 0)
            break;
        if (!cst_wire_client_pump(client, (int)left, -1, error) && !pending->packet)
            return FALSE;
        /* With a timeout of 0 check the socket once. */
        if (timeout_ms == 0)
            break;
    }
    /* The reply may have arrived just before the connection failed. */
    if (pending->packet)
        g_clear_error(error);
    *ret_arrived = pending->packet != NULL;
    return TRUE;
}

static gboolean decode_reply(const CstWirePending *pending, const CstWireProc *proc, void *ret,
                             GError **error)
{
    CstWireHeader header;

    cst_wire_header_read(pending->packet, &header);
    if (header.status == WIRE_ERROR)
        return cst_wire_error_decode(pending->packet, pending->len, error);
    if (!proc->ret || cst_wire_payload_decode(pending->packet, pending->len, proc->ret, ret, error))
        return TRUE;
    /* Decoding may have failed after a part of the reply; the caller frees no result on failure. */
    xdr_free(proc->ret, ret);
    return FALSE;
}

gboolean cst_wire_client_collect(CstWireClient *client, uint32_t serial, const CstWireProc *proc,
                                 void *ret, GError **error)
{
    gpointer key = GUINT_TO_POINTER(serial);
    gboolean arrived = FALSE, ok = FALSE;

    if (cst_wire_client_await(client, serial, -1, &arrived, error))
        ok = decode_reply(g_hash_table_lookup(client->pending, key), proc, ret, error);
    g_hash_table_remove(client->pending, key);
    return ok;
}

void cst_wire_client_forget(CstWireClient *client, uint32_t serial)
{
    gpointer key = GUINT_TO_POINTER(serial);
    CstWirePending *pending = g_hash_table_lookup(client->pending, key);

    /*
     * handle_reply() drops a reply that has not arrived yet. Its serial must remain known until
     * then.
     */
    if (pending && pending->packet)
        g_hash_table_remove(client->pending, key);
    else if (pending)
        pending->forgotten = TRUE;
}

gboolean cst_wire_client_call(CstWireClient *client, const CstWireProc *proc, const void *args,
                              void *ret, GError **error)
{
    uint32_t serial;

    return cst_wire_client_send(client, proc, args, &serial, error) &&
           cst_wire_client_collect(client, serial, proc, ret, error);
}

/* --- opening the connection ------------------------------------------------------------------ */

static gboolean authenticate_polkit(CstWireClient *client, GError **error)
{
    static const CstWireProc polkit = {WIRE_REMOTE_PROGRAM, WIRE_PROC_AUTH_POLKIT, NULL,
                                       (xdrproc_t)xdr_wire_int};
    wire_int complete = {0};

    if (!cst_wire_client_call(client, &polkit, NULL, &complete, error))
        return FALSE;
    return complete.value || cst_fail(error, CST_ERROR_AUTH, _("polkit did not complete"));
}

gboolean cst_wire_client_authenticate(CstWireClient *client, GError **error)
{
    static const CstWireProc list = {WIRE_REMOTE_PROGRAM, WIRE_PROC_AUTH_LIST, NULL,
                                     (xdrproc_t)xdr_wire_auth_list_ret};
    enum { TYPE_NONE, TYPE_SASL, TYPE_POLKIT };
    wire_auth_list_ret ret = {0};
    g_autoptr(GError) why = NULL;
    int type = TYPE_NONE;

    if (!cst_wire_client_call(client, &list, NULL, &ret, &why)) {
        /* The server predates authentication. */
        if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_SUPPORT))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    /* The first type is the server's preference. */
    if (ret.types.types_len > 0)
        type = ret.types.types_val[0];
    xdr_free(list.ret, (char *)&ret);
    switch (type) {
    case TYPE_NONE: return TRUE;
    case TYPE_POLKIT: return authenticate_polkit(client, error);
    case TYPE_SASL:
        return cst_fail(
            error, CST_ERROR_AUTH,
            _("the server requires SASL, which this version does not support; connect as "
              "root, or with storage+ssh://"));
    default: return cst_fail(error, CST_ERROR_AUTH, _("unknown authentication type %d"), type);
    }
}

gboolean cst_wire_client_open(CstWireClient *client, const char *name, unsigned flags,
                              GError **error)
{
    static const CstWireProc open_proc = {WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_OPEN,
                                          (xdrproc_t)xdr_wire_open_args, NULL};
    char *text = (char *)name;
    wire_open_args args = {name ? &text : NULL, flags};

    client->opened = cst_wire_client_call(client, &open_proc, &args, NULL, error);
    return client->opened;
}
