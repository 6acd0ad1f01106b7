/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uploads and downloads on the connection: packets in one direction under the serial of the call
 * that started the stream. stream_job.c accesses the storage.
 *
 * The loop's thread owns a stream. At most one of its jobs is at a worker (busy). During that time
 * the loop does not access the fields of the job. Of the upload or download it calls only
 * cst_upload_ends() and cst_download_ends(). next_job() selects the next job. It is called after
 * each change: a packet was received, a job returned, a chunk was sent, or the queue has room
 * again.
 *
 * - Upload: data and holes are queued in items. All queued items become the batch of one WRITE job.
 *   When the client has finished the stream (status OK) and the queue is empty, FINISH syncs and
 *   closes the upload. Its result is the answer.
 * - Download: READ fills one chunk while the other is sent. A chunk without data marks the end of
 *   the data. After it is sent, CLOSE closes the volume without waiting for the client to finish
 *   the stream, because the client may never do so.
 * - Abort (status ERROR), failure, cancellation or a lost client end the stream (ending): queued
 *   data is dropped and CLOSE releases the volume. An aborting client is answered after CLOSE, so
 *   that the volume is free when the answer arrives. A job that hangs in storage counts as failed
 *   while it still hangs.
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

static void stream_submit_job(Stream *stream, StreamJob job)
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
    /* The client no longer expects data. */
    if (stream->ending || stream->finish)
        return;
    /* A packet without data marks the end of the data; the client then finishes the stream. */
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
    /* The worker gets all queued items. Later items wait for the next batch. */
    stream->batch = stream->items;
    g_queue_init(&stream->items);
    stream_submit_job(stream, JOB_WRITE);
}

/* Starts a READ. Parks the client if it does not read its data; streams_continue() resumes then. */
static void read_next(Stream *stream)
{
    if (!client_has_room(stream->client)) {
        stream->client->parked = TRUE;
        return;
    }
    stream->chunk = free_chunk(stream);
    if (stream->chunk)
        stream_submit_job(stream, JOB_READ);
}

/*
 * Returns whether the volume is closed although the client has not finished the stream (is_sent()).
 * The client may still finish it, and is answered then.
 */
static gboolean stream_is_over(const Stream *stream)
{
    return !stream->busy && !stream->upload && !stream->download;
}

/*
 * Declares that the stream is ending, so that other operations may wait for the volume. From now on
 * its duration depends on the storage and not on the client.
 */
static void say_it_ends(Stream *stream)
{
    /* A worker is closing the upload or download. */
    if (stream->busy && (stream->job == JOB_FINISH || stream->job == JOB_CLOSE))
        return;
    if (stream->upload)
        cst_upload_ends(stream->upload);
    if (stream->download)
        cst_download_ends(stream->download);
}

/* Returns whether the whole download has been sent, so that its volume is no longer needed. */
static gboolean is_sent(const Stream *stream)
{
    if (!stream->download || !stream->at_end)
        return FALSE;
    for (int i = 0; i < STREAM_CHUNKS; i++)
        if (stream->chunks[i].queued)
            return FALSE;
    return TRUE;
}

/* Starts the next job if a job is due and no job is at a worker. */
static void next_job(Stream *stream)
{
    if (stream->busy)
        return;
    if (stream->ending) {
        if (stream->upload || stream->download)
            stream_submit_job(stream, JOB_CLOSE);
        return;
    }
    if (stream->upload && !g_queue_is_empty(&stream->items)) {
        start_write(stream);
    } else if (stream->finish) {
        say_it_ends(stream);
        stream_submit_job(stream, JOB_FINISH);
    } else if (is_sent(stream)) {
        drop_chunks(stream);
        say_it_ends(stream);
        stream_submit_job(stream, JOB_CLOSE);
    } else if (stream->download && !stream->at_end) {
        read_next(stream);
    }
}

/* Drops received data that has not been written. */
static void drop_items(Stream *stream)
{
    UploadItem *item;

    while ((item = g_queue_pop_head(&stream->items))) {
        stream->client->upload_bytes -= upload_item_cost(item);
        g_free(item);
    }
}

/*
 * Removes the stream from the client's table, so that later packets are ignored, and closes it.
 * @answer: the client requested the end and is answered.
 */
static void stream_end_transfer(Stream *stream, gboolean answer)
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

/* Sends the error to the client and ends the stream. */
static void fail_stream(Stream *stream, const GError *error)
{
    client_send_error(stream->client, &stream->header, CST_WIRE_FROM_STREAMS, error);
    stream_end_transfer(stream, FALSE);
}

/*
 * Stream.message arrives after this message, because the job keeps the stream alive. The result of
 * the job is then dropped and the volume closed.
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
        stream_end_transfer(stream, FALSE);
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
 * Returns the number of streams that are not over. A client that never finishes its downloads
 * leaves them in the table. If they exceed STREAMS_OVER_MAX, the oldest one is removed, because the
 * client is least likely to finish it.
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
        stream_end_transfer(oldest, FALSE);
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
    /* All its packets use the program, procedure and serial of the call. */
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
        stream_end_transfer(l->data, FALSE);
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

/*
 * Returns whether an idle stream was cancelled. A job at a worker detects the cancellation itself,
 * and the loop must not read its fields.
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
        fail_stream(stream, error);
    }
}

/* --- packets --------------------------------------------------------------------------------- */

static void stream_queue_data(Stream *stream, uint64_t hole, const uint8_t *data, size_t len)
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

static gboolean stream_receive_hole(Stream *stream, const uint8_t *packet, size_t len)
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
        stream_queue_data(stream, (uint64_t)hole.length, NULL, 0);
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
    /* Ignore packets of a failed stream, because the client may have sent them before the error. */
    if (!stream || stream->header.program != header->program ||
        stream->header.procedure != header->procedure || stream->finish)
        return TRUE;
    /*
     * A hole in a stream without SPARSE breaks the protocol, because its payload would be read as
     * data.
     */
    if (header->type == WIRE_STREAM_HOLE && !stream->sparse)
        return FALSE;
    if (header->status == WIRE_ERROR) {
        stream_end_transfer(stream, TRUE);
    } else if (header->status == WIRE_OK) {
        stream->finish = TRUE;
        next_job(stream);
    } else if (!stream->is_upload) {
        refuse_data(stream);
    } else if (header->type == WIRE_STREAM_HOLE) {
        return stream_receive_hole(stream, packet, len);
    } else if (len > CST_WIRE_HEADER_LEN) {
        stream_queue_data(stream, 0, packet + CST_WIRE_HEADER_LEN, len - CST_WIRE_HEADER_LEN);
    }
    return TRUE;
}
