/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams of a client: uploads and downloads.
 *
 * A stream starts with a call and shares its serial. Data packets are sent from the caller's
 * memory. The server may fail a stream at any time. The failure is stored, and the next function
 * returns it.
 *
 * A stream ends when both sides have sent a packet with status OK, when the server sends an ERROR,
 * or when the client sends an ERROR and the server confirms it. Until then the server may hold
 * resources, so freeing a stream waits for the confirmation.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "client_private.h"

/* Bytes of an upload per packet. With larger packets client and server work alternately. */
#define PACKET_DATA   (256u * 1024)
#define TASK_CHECK_MS 200 /* between two checks whether a download is cancelled */

/* --- packets from the server ----------------------------------------------------------------- */

/* Fails the stream with @why. Takes ownership of @why. An earlier failure is kept. */
static void stream_fail(CstWireStream *stream, GError *why)
{
    if (stream->state == CST_STREAM_FAILED) {
        g_error_free(why);
        return;
    }
    stream->state = CST_STREAM_FAILED;
    stream->error = why;
}

static void handle_data(CstWireStream *stream, const void *bytes, size_t len, uint64_t hole)
{
    GError *why = NULL;

    if (stream->state != CST_STREAM_DATA)
        return;
    if (len == 0 && hole == 0)
        stream->state = CST_STREAM_EOF;
    else if (!stream->func)
        cst_fail(&why, CST_ERROR_RPC, _("the server sent data during an upload"));
    else
        stream->func(bytes, len, hole, stream->data, &why);
    if (why)
        stream_fail(stream, why);
}

static void handle_hole(CstWireStream *stream, const uint8_t *packet, size_t len)
{
    wire_hole hole = {0};
    GError *why = NULL;

    if (!cst_wire_payload_decode(packet, len, (xdrproc_t)xdr_wire_hole, &hole, &why))
        stream_fail(stream, why);
    else if (hole.length < 0 || hole.flags != 0) {
        cst_fail(&why, CST_ERROR_RPC, _("the server sent an invalid hole"));
        stream_fail(stream, why);
    } else if (hole.length > 0)
        handle_data(stream, NULL, 0, hole.length);
}

static void handle_packet(CstWireStream *stream, const CstWireHeader *header, const uint8_t *packet,
                          size_t len)
{
    GError *why = NULL;

    /* Serials wrap around. A packet of another procedure does not belong to this stream. */
    if (header->program != stream->header.program || header->procedure != stream->header.procedure)
        return;
    switch (header->status) {
    case WIRE_CONTINUE:
        if (header->type == WIRE_STREAM_HOLE)
            handle_hole(stream, packet, len);
        else
            handle_data(stream, packet + CST_WIRE_HEADER_LEN, len - CST_WIRE_HEADER_LEN, 0);
        break;
    case WIRE_OK:
        stream->server_done = TRUE;
        if (stream->state != CST_STREAM_FAILED)
            stream->state = CST_STREAM_FINISHED;
        break;
    default:
        stream->server_done = TRUE;
        cst_wire_error_decode(packet, len, &why);
        stream_fail(stream, why);
    }
}

/* --- the caller's side ----------------------------------------------------------------------- */

/* Returns FALSE with a copy of the failure if the stream has failed. */
static gboolean stream_usable(const CstWireStream *stream, GError **error)
{
    if (stream->state != CST_STREAM_FAILED)
        return TRUE;
    if (error)
        *error = g_error_copy(stream->error);
    return FALSE;
}

CstWireStream *cst_wire_stream_start(CstWireClient *client, const CstWireProc *proc,
                                     const void *args, void *ret, CstWireStreamFunc func,
                                     gpointer data, GError **error)
{
    CstWireStream *stream;
    uint32_t serial;

    if (!cst_wire_client_send(client, proc, args, &serial, error))
        return NULL;
    stream = g_new0(CstWireStream, 1);
    stream->client = client;
    stream->handle_packet = handle_packet;
    stream->header = (CstWireHeader){proc->program, WIRE_VERSION, proc->procedure,
                                     WIRE_STREAM,   serial,       WIRE_CONTINUE};
    stream->func = func;
    stream->data = data;
    /* Registered before the reply is awaited, because data may follow it immediately. */
    g_hash_table_insert(client->streams, GUINT_TO_POINTER(serial), stream);
    if (cst_wire_client_collect(client, serial, proc, ret, error))
        return stream;
    /* The call failed, so the server has no stream to end. */
    stream->server_done = TRUE;
    cst_wire_stream_free(stream);
    return NULL;
}

static gboolean send_packet(CstWireStream *stream, const void *bytes, size_t len, GError **error)
{
    CstWireClient *client = stream->client;
    uint8_t head[CST_WIRE_HEADER_LEN];

    cst_wire_header_write(head, &stream->header, len);
    client->direct[0] = (struct iovec){head, sizeof(head)};
    client->direct[1] = (struct iovec){(void *)bytes, len};
    /* A partly sent packet must be completed even if the stream fails during the send. */
    while (client->direct[0].iov_len > 0 || client->direct[1].iov_len > 0) {
        if (!client->direct_started && stream->state == CST_STREAM_FAILED)
            break;
        if (!cst_wire_client_pump(client, -1, -1, error))
            break;
    }
    /* @head and @bytes become invalid after the return. */
    client->direct[0].iov_len = client->direct[1].iov_len = 0;
    client->direct_started = FALSE;
    /* The server's reason has precedence over the subsequent loss of the connection. */
    if (client->broken && stream->state == CST_STREAM_FAILED)
        g_clear_error(error);
    return stream_usable(stream, error) && !client->broken;
}

gboolean cst_wire_stream_send(CstWireStream *stream, const void *bytes, size_t len, GError **error)
{
    const uint8_t *p = bytes;

    while (len > 0) {
        size_t part = MIN(len, PACKET_DATA);

        if (!stream_usable(stream, error) || !send_packet(stream, p, part, error))
            return FALSE;
        p += part;
        len -= part;
    }
    return TRUE;
}

gboolean cst_wire_stream_send_hole(CstWireStream *stream, uint64_t hole, GError **error)
{
    CstWireHeader header = stream->header;
    wire_hole args = {(int64_t)hole, 0};

    header.type = WIRE_STREAM_HOLE;
    return stream_usable(stream, error) && cst_wire_client_usable(stream->client, error) &&
           cst_wire_append(stream->client->out, &header, (xdrproc_t)xdr_wire_hole, &args, error) &&
           cst_wire_client_pump(stream->client, 0, -1, error);
}

gboolean cst_wire_stream_receive(CstWireStream *stream, CstTask *task, GError **error)
{
    while (stream->state == CST_STREAM_DATA) {
        CST_TEST_POINT("wire.stream.receive_wait");
        if (!cst_task_check(task, error) ||
            (!cst_wire_client_pump(stream->client, task ? TASK_CHECK_MS : -1, -1, error) &&
             stream->state == CST_STREAM_DATA))
            return FALSE;
    }
    g_clear_error(error);
    return stream_usable(stream, error);
}

/* Sends the final packet with @status and waits until the server has ended the stream. */
static gboolean wire_stream_end(CstWireStream *stream, uint32_t status, GError **error)
{
    CstWireHeader header = stream->header;

    header.status = status;
    if (!cst_wire_client_usable(stream->client, error))
        return FALSE;
    cst_wire_append_raw(stream->client->out, &header, NULL, 0);
    while (!stream->server_done) {
        CST_TEST_POINT("wire.stream.end_wait");
        if (!cst_wire_client_pump(stream->client, -1, -1, error) && !stream->server_done)
            return FALSE;
    }
    g_clear_error(error);
    return TRUE;
}

gboolean cst_wire_stream_finish(CstWireStream *stream, GError **error)
{
    if (!stream_usable(stream, error))
        return FALSE;
    if (!stream->server_done && !wire_stream_end(stream, WIRE_OK, error))
        return FALSE;
    return stream_usable(stream, error);
}

void cst_wire_stream_free(CstWireStream *stream)
{
    g_autoptr(GError) ignored = NULL;

    if (!stream)
        return;
    if (!stream->server_done) {
        /* Data that still arrives is dropped and not passed to the function. */
        if (stream->state != CST_STREAM_FAILED)
            stream->state = CST_STREAM_EOF;
        wire_stream_end(stream, WIRE_ERROR, &ignored);
    }
    g_hash_table_remove(stream->client->streams, GUINT_TO_POINTER(stream->header.serial));
    g_clear_error(&stream->error);
    g_free(stream);
}
