/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/log_context.h>
#include <service/volumes.h>
#include <wire/codec.h>

#include "client.h"
#include "loop.h"

/**
 * An upload or download. The loop's thread owns it. A worker has it for one job at a time: read a
 * chunk, write received data, finish, or close. The loop does not access the job's fields until the
 * job returns. A download has two chunks: one is read while the other is sent.
 */
/* Bytes of data in one packet of a download. */
#define STREAM_CHUNK (1024u * 1024u)
/* Bytes of unwritten uploads above which the socket is not read. */
#define STREAM_QUEUE_MAX (4u * 1024u * 1024u)
#define STREAM_CHUNKS    2
#define STREAMS_OVER_MAX 256 /* sent but unfinished downloads of a connection */

typedef struct Stream Stream;

typedef enum { JOB_READ, JOB_WRITE, JOB_FINISH, JOB_CLOSE } StreamJob;

typedef struct {
    Stream *stream;
    uint8_t *data;   /**< header and STREAM_CHUNK bytes; NULL: not allocated yet */
    size_t len;      /**< of the packet in it */
    gboolean queued; /**< in the socket's queue */
} Chunk;

/** A packet of an upload. */
typedef struct {
    uint64_t hole; /**< bytes of hole; 0: data */
    size_t len;
    uint8_t data[];
} UploadItem;

/**
 * Returns the bytes that @item counts for in Client.upload_bytes. Holes count too, because they use
 * memory.
 */
static inline size_t upload_item_cost(const UploadItem *item)
{
    return sizeof(*item) + item->len;
}

struct Stream {
    Message message; /**< returns the stream from a worker to its loop */
    guint refs;      /**< the client's table, the job, each chunk in the socket's queue */
    Client *client;  /**< a reference; NULL before stream_start() */
    Loop *loop;
    CstWireHeader header; /**< of its packets */
    CstLogContext log;    /**< context of the call that began it; while a job is at a worker, the
                               worker owns it */
    gboolean sparse;
    gboolean is_upload; /**< keeps its value after a worker has closed @upload */
    CstUpload *upload;  /**< either this or @download is set; both are NULL once closed */
    CstDownload *download;

    gboolean busy;   /**< a job is at a worker */
    gboolean ending; /**< closed or being closed; no other job starts */
    gboolean answer; /**< answer the client when it is closed */
    gboolean finish; /**< the client has sent all data and finished the stream */
    gboolean at_end; /**< the download's last packet has been queued */
    Chunk chunks[STREAM_CHUNKS];
    GQueue items; /**< of UploadItem, to be written */

    /* The fields of the job at the worker. */
    StreamJob job;
    Chunk *chunk;   /**< READ: destination */
    GQueue batch;   /**< WRITE: data to write */
    size_t written; /**< WRITE: bytes of the batch, counted in Client.upload_bytes */
    GError *error;  /**< error of the job; NULL: success */

    /* Guarded by the task's lock while a job is at a worker. */
    Message stuck;     /**< reports that the job hangs in storage, before @message */
    GError *why_stuck; /**< NULL: no job of the stream has hung */
};

/**
 * Makes a stream of an open upload and owns the upload. Call it in the worker that runs the call,
 * because the stream copies its log context. @sparse: the client sends holes as well as data.
 */
Stream *stream_new_upload(CstUpload *upload, gboolean sparse);
/** Makes a stream of an open download and owns the download. Otherwise like stream_new_upload(). */
Stream *stream_new_download(CstDownload *download, gboolean sparse);
/** Closes a stream that has not been started, at a worker. Consumes the caller's reference. */
void stream_discard(Loop *loop, Stream *stream);

/** Returns FALSE with RPC if @serial has a stream already or the client has reached max_streams. */
gboolean stream_can_start(Client *client, uint32_t serial, GError **error);
/**
 * Starts @stream under the serial of @header, the header of the reply, which is already queued. The
 * client's table owns the stream.
 */
void stream_start(Client *client, Stream *stream, const CstWireHeader *header);

/** Handles a STREAM or STREAM_HOLE packet. Returns FALSE if the connection cannot continue. */
gboolean stream_packet(Client *client, const CstWireHeader *header, const uint8_t *packet,
                       size_t len);
/** Ends all streams of a disconnected client. */
void streams_abandon(Client *client);
/** Resumes downloads that waited for room in the client's queue, if the queue has room. */
void streams_continue(Client *client);
/**
 * Ends streams whose job was cancelled by request while their clients send or read no data. Called
 * once a second.
 */
void streams_tick(Client *client);

/** Function of Stream.stuck: fails the stream with why_stuck, because its job hangs. */
void stream_is_stuck(Loop *loop, Message *stuck);

/* stream_job.c */
/**
 * Runs @stream's job and returns the stream to its loop. Runs in a thread of CstWireServer.streams;
 * @server is the data of that pool.
 */
void stream_work(gpointer stream, gpointer server);
