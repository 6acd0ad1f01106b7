/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The jobs of a stream. They run in the threads of CstWireServer.streams and access the storage.
 * During a job only the worker uses the upload or download, the chunk or batch, and the error. The
 * job changes no other field of the stream (stream.h). stream.c starts the job and reads its result
 * after it returns.
 */
#include <string.h>

#include "server.h"
#include "stream.h"

#define HOLE_LEN 12 /* XDR size of wire_hole */

static void put_hole(uint8_t *p, uint64_t length)
{
    uint64_t be = GUINT64_TO_BE(length);

    memcpy(p, &be, sizeof(be));
    memset(p + sizeof(be), 0, HOLE_LEN - sizeof(be));
}

/*
 * Reads the next packet of a download, with its header, into the job's chunk. A packet without
 * payload marks the end of the data.
 */
static gboolean stream_read_chunk(Stream *stream)
{
    Chunk *chunk = stream->chunk;
    CstWireHeader header = stream->header;
    uint64_t hole = 0;
    size_t len = 0;

    if (!chunk->data)
        chunk->data = g_malloc(CST_WIRE_HEADER_LEN + STREAM_CHUNK);
    if (!cst_download_read(stream->download, chunk->data + CST_WIRE_HEADER_LEN, STREAM_CHUNK, &len,
                           &hole, &stream->error))
        return FALSE;
    header.status = WIRE_CONTINUE;
    header.type = hole > 0 ? WIRE_STREAM_HOLE : WIRE_STREAM;
    if (hole > 0) {
        put_hole(chunk->data + CST_WIRE_HEADER_LEN, hole);
        len = HOLE_LEN;
    }
    cst_wire_header_write(chunk->data, &header, len);
    chunk->len = CST_WIRE_HEADER_LEN + len;
    return TRUE;
}

static gboolean write_item(Stream *stream, const UploadItem *item)
{
    if (item->hole > 0)
        return cst_upload_hole(stream->upload, item->hole, &stream->error);
    return item->len == 0 ||
           cst_upload_write(stream->upload, item->data, item->len, &stream->error);
}

static void write_batch(Stream *stream)
{
    UploadItem *item;

    stream->written = 0;
    while ((item = g_queue_pop_head(&stream->batch))) {
        /*
         * Also count after a failure, because the loop subtracts the whole batch from upload_bytes.
         */
        stream->written += upload_item_cost(item);
        if (!stream->error)
            write_item(stream, item);
        g_free(item);
    }
}

static void close_both(Stream *stream)
{
    g_clear_pointer(&stream->upload, cst_upload_free);
    g_clear_pointer(&stream->download, cst_download_free);
}

/* Changes the number of threads for streams by @count: +1 when a job hangs, -1 when it returns. */
static void add_threads(CstWireServer *server, int count)
{
    g_mutex_lock(&server->streams_lock);
    g_thread_pool_set_max_threads(server->streams,
                                  g_thread_pool_get_max_threads(server->streams) + count, NULL);
    g_mutex_unlock(&server->streams_lock);
}

/*
 * Callback of the task, in another thread, when the job hangs in storage. May be called more than
 * once; only the first call counts.
 */
static void stream_on_stuck(const GError *why, gpointer data)
{
    Stream *stream = data;

    if (stream->why_stuck)
        return;
    stream->why_stuck = g_error_copy(why);
    stream->stuck.func = stream_is_stuck;
    add_threads(stream->loop->server, 1);
    loop_post(stream->loop, &stream->stuck);
}

void stream_work(gpointer data, gpointer server)
{
    Stream *stream = data;
    gboolean was_stuck = stream->why_stuck != NULL;

    cst_log_push(&stream->log);
    cst_task_on_stuck(stream->log.task, stream_on_stuck, stream);
    switch (stream->job) {
    case JOB_READ: stream_read_chunk(stream); break;
    case JOB_WRITE: write_batch(stream); break;
    case JOB_FINISH:
        if (stream->upload)
            cst_upload_finish(stream->upload, &stream->error);
        close_both(stream);
        break;
    case JOB_CLOSE: close_both(stream); break;
    }
    cst_task_on_stuck(stream->log.task, NULL, NULL);
    if (stream->why_stuck && !was_stuck)
        add_threads(server, -1);
    cst_log_pop(&stream->log);
    loop_post(stream->loop, &stream->message);
}
