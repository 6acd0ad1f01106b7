/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uploads and downloads as a client sees them: packets in one direction under the serial of the
 * call that started the stream. stream_job.c does the storage's part.
 *
 * The loop's thread owns a stream. At most one job of it is at a worker (busy); while it is, the
 * loop leaves the fields of the job alone, and of the upload or download it calls nothing but
 * cst_upload_ends() and cst_download_ends(). next_job() decides what the next job is, and is called
 * whenever something has changed: a packet came in, a job came back, a chunk has been sent, there
 * is room again.
 *
 * - Upload: data and holes are queued in items. All that have come in become the batch of one WRITE
 *   job. When the client finishes the stream (status OK) and the queue is empty, FINISH syncs and
 *   closes it and its result is the answer.
 * - Download: READ fills one chunk while the other is being sent. A chunk without data is the end
 *   of the data. When that has been sent, the volume is closed (CLOSE) without waiting for the
 *   client to finish the stream, which it may never do.
 * - Abort (status ERROR), failure, cancellation or a lost client end the stream (ending): queued
 *   data is dropped and CLOSE releases the volume. An aborting client is answered after that, so
 *   that the volume is free when the answer arrives. A job that hangs in storage is a failure
 *   already while it hangs.
 */
#include "stream.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

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
    g_clear_error(&stream->why_stuck);
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
    /* Nobody expects data any more. */
    if (stream->ending || stream->finish)
        return;
    /* A packet without data ends the data; the client then finishes the stream. */
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
    /* The worker gets all that has come in; what comes next waits for the next batch. */
    stream->batch = stream->items;
    g_queue_init(&stream->items);
    submit(stream, JOB_WRITE);
}

/* No more is read for a client that does not read what it has; streams_continue() goes on. */
static void read_next(Stream *stream)
{
    if (!client_has_room(stream->client)) {
        stream->client->parked = TRUE;
        return;
    }
    stream->chunk = free_chunk(stream);
    if (stream->chunk)
        submit(stream, JOB_READ);
}

/*
 * Whether the volume is closed although the client has not finished the stream (is_sent()); it may
 * still do so, and gets its answer.
 */
static gboolean stream_is_over(const Stream *stream)
{
    return !stream->busy && !stream->upload && !stream->download;
}

/*
 * Lets others wait for the volume: from here on the stream lasts as long as the storage needs, not
 * as long as the client likes.
 */
static void say_it_ends(Stream *stream)
{
    /* A worker owns them and is closing them. */
    if (stream->busy && (stream->job == JOB_FINISH || stream->job == JOB_CLOSE))
        return;
    if (stream->upload)
        cst_upload_ends(stream->upload);
    if (stream->download)
        cst_download_ends(stream->download);
}

/* Whether the whole download has been sent: nothing of its volume is needed any more. */
static gboolean is_sent(const Stream *stream)
{
    if (!stream->download || !stream->at_end)
        return FALSE;
    for (int i = 0; i < STREAM_CHUNKS; i++)
        if (stream->chunks[i].queued)
            return FALSE;
    return TRUE;
}

/* Starts the next job, if one is due and none is at a worker. */
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

/* Drops data that came in and has not been written. */
static void drop_items(Stream *stream)
{
    UploadItem *item;

    while ((item = g_queue_pop_head(&stream->items))) {
        stream->client->upload_bytes -= upload_item_cost(item);
        g_free(item);
    }
}

/*
 * Takes the stream out of the client's table, so that packets that still come are ignored, and has
 * it closed. @answer: the client asked for the end and is answered.
 */
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

/* Ends the stream with an error, which its client is told. */
static void fail_stream(Stream *stream, const GError *error)
{
    client_send_error(stream->client, &stream->header, CST_WIRE_FROM_STREAMS, error);
    end_stream(stream, FALSE);
}

/*
 * The job keeps the stream alive; its message comes after this one. What it comes back with is
 * dropped then, and the volume closed.
 */
void stream_is_stuck(Loop *loop, Message *stuck)
{
    Stream *stream = (Stream *)((char *)stuck - G_STRUCT_OFFSET(Stream, stuck));

    if (stream->client && !stream->ending)
        fail_stream(stream, stream->why_stuck);
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
        fail_stream(stream, stream->error);
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
 * Counts the streams that are not over. A client that never finishes its downloads leaves them
 * behind; when there are too many, the oldest, which is the least likely to be finished still, is
 * forgotten.
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
    /* Program, procedure and serial of all its packets are the call's. */
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
    CST_TEST_POINT("streams.abandon.begin");
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
    streams = g_hash_table_get_values(client->streams);
    for (GList *l = streams; l; l = l->next)
        next_job(l->data);
}

/* A job at a worker notices the cancellation itself, and its fields are not ours to read. */
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
        fail_stream(stream, error);
    }
}

/* --- packets --------------------------------------------------------------------------------- */

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
    /* Packets of a stream that has failed may still be under way; they are ignored. */
    if (!stream || stream->header.program != header->program ||
        stream->header.procedure != header->procedure || stream->finish)
        return TRUE;
    /*
     * A hole in a stream without SPARSE breaks the protocol: its payload would be taken for data.
     */
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
