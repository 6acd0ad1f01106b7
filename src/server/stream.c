/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "procedures.h"
#include "server.h"

static Stream *stream_new(gboolean sparse)
{
    Stream *stream = g_new0(Stream, 1);

    stream->refs = 1;
    stream->sparse = sparse;
    cst_log_context_copy(&stream->log);
    g_queue_init(&stream->items);
    g_queue_init(&stream->batch);
    for (int i = 0; i < STREAM_CHUNKS; i++)
        stream->chunks[i].stream = stream;
    return stream;
}

Stream *stream_new_upload(CstUpload *upload, gboolean sparse)
{
    Stream *stream = stream_new(sparse);

    stream->is_upload = TRUE;
    stream->upload = upload;
    return stream;
}

Stream *stream_new_download(CstDownload *download, gboolean sparse)
{
    Stream *stream = stream_new(sparse);

    stream->download = download;
    return stream;
}

static void drop_chunks(Stream *stream)
{
    for (int i = 0; i < STREAM_CHUNKS; i++)
        g_clear_pointer(&stream->chunks[i].data, g_free);
}

static void stream_unref(Stream *stream)
{
    if (--stream->refs > 0)
        return;
    drop_chunks(stream);
    g_queue_clear_full(&stream->items, g_free);
    g_clear_error(&stream->error);
    cst_log_context_clear(&stream->log);
    if (stream->client)
        client_unref(stream->client);
    g_free(stream);
}

/* --- talking --------------------------------------------------------------------------------- */

static void send_end(Stream *stream)
{
    CstWireHeader header = stream->header;

    header.status = WIRE_OK;
    client_send(stream->client, &header, NULL, NULL);
}

static void send_error(Stream *stream, const GError *error)
{
    client_send_error(stream->client, &stream->header, CST_WIRE_FROM_STREAMS, error);
}

/* --- jobs ------------------------------------------------------------------------------------ */

static void next_job(Stream *stream);

static void submit(Stream *stream, StreamJob job)
{
    stream->job = job;
    stream->busy = TRUE;
    stream->refs++;
    stream->loop->jobs++;
    g_thread_pool_push(stream->loop->server->streams, stream, NULL);
}

static void chunk_written(gpointer owner)
{
    Chunk *chunk = owner;
    Stream *stream = chunk->stream;

    chunk->queued = FALSE;
    next_job(stream);
    stream_unref(stream);
}

static void send_chunk(Stream *stream, Chunk *chunk)
{
    if (stream->ending || stream->finish)
        return;
    if (chunk->len == CST_WIRE_HEADER_LEN)
        stream->at_end = TRUE;
    chunk->queued = TRUE;
    stream->refs++;
    out_borrow(&stream->client->out, chunk->data, chunk->len, chunk_written, chunk);
    client_sends(stream->client);
}

static Chunk *free_chunk(Stream *stream)
{
    for (int i = 0; i < STREAM_CHUNKS; i++)
        if (!stream->chunks[i].queued)
            return &stream->chunks[i];
    return NULL;
}

static void start_write(Stream *stream)
{
    stream->batch = stream->items;
    g_queue_init(&stream->items);
    submit(stream, JOB_WRITE);
}

/* A client that does not read what it has is read for no further. */
static void read_next(Stream *stream)
{
    if (!client_has_room(stream->client)) {
        stream->client->parked = TRUE;
        client_update_timed(stream->client);
        return;
    }
    stream->chunk = free_chunk(stream);
    if (stream->chunk)
        submit(stream, JOB_READ);
}

/* It was closed without a word of the client's (is_sent), who may still say one. */
static gboolean stream_is_over(const Stream *stream)
{
    return !stream->busy && !stream->upload && !stream->download;
}

/* What comes now lasts as long as the storage needs for it, not as long as the client likes. */
static void say_it_ends(Stream *stream)
{
    /* A worker closes it, and did not need to be told. */
    if (stream->busy && (stream->job == JOB_FINISH || stream->job == JOB_CLOSE))
        return;
    if (stream->upload)
        cst_upload_ends(stream->upload);
    if (stream->download)
        cst_download_ends(stream->download);
}

/* All of a download is in the socket: its volume is needed no longer, whatever the client says. */
static gboolean is_sent(const Stream *stream)
{
    if (!stream->download || !stream->at_end)
        return FALSE;
    for (int i = 0; i < STREAM_CHUNKS; i++)
        if (stream->chunks[i].queued)
            return FALSE;
    return TRUE;
}

/* Whatever is to be done next, when nothing is being done. */
static void next_job(Stream *stream)
{
    if (stream->busy)
        return;
    if (stream->ending) {
        if (stream->upload || stream->download)
            submit(stream, JOB_CLOSE);
        return;
    }
    if (stream->upload && !g_queue_is_empty(&stream->items)) {
        start_write(stream);
    } else if (stream->finish) {
        say_it_ends(stream);
        submit(stream, JOB_FINISH);
    } else if (is_sent(stream)) {
        drop_chunks(stream);
        say_it_ends(stream);
        submit(stream, JOB_CLOSE);
    } else if (stream->download && !stream->at_end) {
        read_next(stream);
    }
}

/* Drops uploads that came in and are not to be written any more. */
static void drop_items(Stream *stream)
{
    UploadItem *item;

    while ((item = g_queue_pop_head(&stream->items))) {
        stream->client->upload_bytes -= upload_item_cost(item);
        g_free(item);
    }
}

/* Takes the stream from the client's table; its packets are orphans from now on. */
static void end_stream(Stream *stream, gboolean answer)
{
    if (stream->ending)
        return;
    stream->ending = TRUE;
    stream->answer = answer;
    say_it_ends(stream);
    drop_items(stream);
    g_hash_table_remove(stream->client->streams, GUINT_TO_POINTER(stream->header.serial));
    client_update_timed(stream->client);
    if (answer && stream_is_over(stream))
        send_end(stream);
    next_job(stream);
    stream_unref(stream);
}

static void job_done(Loop *loop, Message *message)
{
    Stream *stream = (Stream *)message;
    Client *client = stream->client;

    loop->jobs--;
    stream->busy = FALSE;
    if (client)
        client->upload_bytes -= stream->written;
    stream->written = 0;
    if (stream->error && !stream->ending) {
        send_error(stream, stream->error);
        end_stream(stream, FALSE);
    } else if (stream->job == JOB_READ) {
        send_chunk(stream, stream->chunk);
    } else if (stream->job == JOB_FINISH) {
        if (!stream->ending)
            send_end(stream);
        end_stream(stream, FALSE);
    } else if (stream->job == JOB_CLOSE && stream->answer) {
        send_end(stream);
    }
    g_clear_error(&stream->error);
    next_job(stream);
    if (client)
        client_resume(client);
    stream_unref(stream);
}

/* --- beginning and end ----------------------------------------------------------------------- */

/*
 * Streams that are not over. Clients that never finish a download leave those that are: the oldest
 * of them, which is the least likely to be finished still, is forgotten when there are too many.
 */
static guint count_open(Client *client)
{
    g_autoptr(GList) streams = g_hash_table_get_values(client->streams);
    Stream *oldest = NULL;
    guint over = 0;

    for (GList *l = streams; l; l = l->next) {
        Stream *stream = l->data;

        if (!stream_is_over(stream))
            continue;
        over++;
        if (!oldest || stream->header.serial < oldest->header.serial)
            oldest = stream;
    }
    if (over >= STREAMS_OVER_MAX)
        end_stream(oldest, FALSE);
    return g_list_length(streams) - over;
}

gboolean stream_can_start(Client *client, uint32_t serial, GError **error)
{
    guint max = client->loop->server->options.max_streams;

    if (!client->streams)
        return TRUE;
    if (g_hash_table_contains(client->streams, GUINT_TO_POINTER(serial)))
        return cst_fail(error, CST_ERROR_RPC, _("a stream with serial %u is open already"), serial);
    if (count_open(client) >= max)
        return cst_fail(error, CST_ERROR_RPC,
                        _("%u streams are open on this connection, finish one first"), max);
    return TRUE;
}

void stream_start(Client *client, Stream *stream, const CstWireHeader *header)
{
    stream->message.func = job_done;
    stream->client = client_ref(client);
    stream->loop = client->loop;
    stream->header = *header;
    stream->header.type = WIRE_STREAM;
    if (!client->streams)
        client->streams = g_hash_table_new(NULL, NULL);
    g_hash_table_insert(client->streams, GUINT_TO_POINTER(header->serial), stream);
    client_update_timed(client);
    next_job(stream);
}

void stream_discard(Loop *loop, Stream *stream)
{
    stream->message.func = job_done;
    stream->loop = loop;
    stream->ending = TRUE;
    next_job(stream);
    stream_unref(stream);
}

void streams_abandon(Client *client)
{
    g_autoptr(GList) streams = NULL;

    if (!client->streams)
        return;
    streams = g_hash_table_get_values(client->streams);
    for (GList *l = streams; l; l = l->next)
        end_stream(l->data, FALSE);
    g_clear_pointer(&client->streams, g_hash_table_unref);
}

void streams_continue(Client *client)
{
    g_autoptr(GList) streams = NULL;

    if (!client->parked || client->state == CLIENT_DEAD || !client_has_room(client))
        return;
    client->parked = FALSE;
    client_update_timed(client);
    streams = client->streams ? g_hash_table_get_values(client->streams) : NULL;
    for (GList *l = streams; l; l = l->next)
        next_job(l->data);
}

/* A job under way sees by itself that it was cancelled, and what is in it is not ours to look at.
 */
static gboolean is_cancelled(const Stream *stream)
{
    if (stream->busy || stream->ending)
        return FALSE;
    return stream->upload ? cst_upload_cancelled(stream->upload)
                          : stream->download && cst_download_cancelled(stream->download);
}

void streams_tick(Client *client)
{
    g_autoptr(GList) streams = client->streams ? g_hash_table_get_values(client->streams) : NULL;

    for (GList *l = streams; l; l = l->next) {
        Stream *stream = l->data;
        g_autoptr(GError) error = NULL;

        if (!is_cancelled(stream))
            continue;
        cst_fail(&error, CST_ERROR_CANCELLED, _("cancelled by request"));
        send_error(stream, error);
        end_stream(stream, FALSE);
    }
}

/* --- packets --------------------------------------------------------------------------------- */

static void fail_stream(Stream *stream, const GError *error)
{
    send_error(stream, error);
    end_stream(stream, FALSE);
}

static void receive(Stream *stream, uint64_t hole, const uint8_t *data, size_t len)
{
    g_autoptr(GError) error = NULL;
    UploadItem *item = cst_alloc(sizeof(*item) + len, 1, "upload", &error);

    if (!item) {
        fail_stream(stream, error);
        return;
    }
    item->hole = hole;
    item->len = len;
    if (len > 0)
        memcpy(item->data, data, len);
    stream->client->upload_bytes += upload_item_cost(item);
    g_queue_push_tail(&stream->items, item);
    next_job(stream);
}

static gboolean receive_hole(Stream *stream, const uint8_t *packet, size_t len)
{
    wire_hole hole = {0};
    g_autoptr(GError) error = NULL;

    if (!cst_wire_payload_decode(packet, len, (xdrproc_t)xdr_wire_hole, &hole, &error) ||
        hole.length < 0 || hole.flags != 0) {
        if (!error)
            cst_fail(&error, CST_ERROR_INVALID, _("hole of %lld bytes with flags 0x%x"),
                     (long long)hole.length, hole.flags);
        fail_stream(stream, error);
    } else if (hole.length > 0) {
        receive(stream, (uint64_t)hole.length, NULL, 0);
    }
    return TRUE;
}

static void refuse_data(Stream *stream)
{
    g_autoptr(GError) error = NULL;

    cst_fail(&error, CST_ERROR_RPC, _("data sent into a download"));
    fail_stream(stream, error);
}

gboolean stream_packet(Client *client, const CstWireHeader *header, const uint8_t *packet,
                       size_t len)
{
    Stream *stream = NULL;

    if (client->streams)
        stream = g_hash_table_lookup(client->streams, GUINT_TO_POINTER(header->serial));
    /* Late packets of a stream that failed are to be expected. */
    if (!stream || stream->header.program != header->program ||
        stream->header.procedure != header->procedure || stream->finish)
        return TRUE;
    /* A hole where none was agreed on is told from data by its type only: drop the peer. */
    if (header->type == WIRE_STREAM_HOLE && !stream->sparse)
        return FALSE;
    if (header->status == WIRE_ERROR) {
        end_stream(stream, TRUE);
    } else if (header->status == WIRE_OK) {
        stream->finish = TRUE;
        next_job(stream);
    } else if (!stream->is_upload) {
        refuse_data(stream);
    } else if (header->type == WIRE_STREAM_HOLE) {
        return receive_hole(stream, packet, len);
    } else if (len > CST_WIRE_HEADER_LEN) {
        receive(stream, 0, packet + CST_WIRE_HEADER_LEN, len - CST_WIRE_HEADER_LEN);
    }
    return TRUE;
}
