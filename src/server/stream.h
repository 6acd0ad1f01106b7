/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/log_context.h>
#include <service/volumes.h>
#include <wire/codec.h>

#include "client.h"
#include "loop.h"

/**
 * One upload or download. The loop's thread owns it; a worker has it for one job at a time (read a
 * chunk, write what came in, finish, close), and the loop leaves the job's fields alone until it is
 * back. A download has two chunks: one is read while the other is sent.
 */
/* Bytes of data in one packet of a download. */
#define STREAM_CHUNK (1024u * 1024u)
/* Bytes of uploads above which the socket is not read. */
#define STREAM_QUEUE_MAX (4u * 1024u * 1024u)
#define STREAM_CHUNKS    2
#define STREAMS_OVER_MAX 256 /* downloads of a connection that are sent and not finished */

typedef struct Stream Stream;

typedef enum { JOB_READ, JOB_WRITE, JOB_FINISH, JOB_CLOSE } StreamJob;

typedef struct {
    Stream *stream;
    uint8_t *data;   /**< header and STREAM_CHUNK bytes; NULL: not allocated yet */
    size_t len;      /**< of the packet in it */
    gboolean queued; /**< waits to be written to the socket */
} Chunk;

/** One packet of an upload. */
typedef struct {
    uint64_t hole; /**< bytes of hole; 0: data */
    size_t len;
    uint8_t data[];
} UploadItem;

/** Bytes that @item counts for in Client.upload_bytes: holes take memory too. */
static inline size_t upload_item_cost(const UploadItem *item)
{
    return sizeof(*item) + item->len;
}

struct Stream {
    Message message; /**< brings it back from a worker */
    guint refs;      /**< the client's table, the job, each chunk in the socket's queue */
    Client *client;  /**< a reference; NULL before stream_start() */
    Loop *loop;
    CstWireHeader header; /**< of its packets */
    CstLogContext log; /**< of the call that began it; while a job is at a worker, the worker's */
    gboolean sparse;
    gboolean is_upload; /**< stays when a worker closes what follows */
    CstUpload *upload;  /**< one of the two is set; both are NULL once closed */
    CstDownload *download;

    gboolean busy;   /**< a job is at a worker */
    gboolean ending; /**< closed or to be closed; nothing else is to be done */
    gboolean answer; /**< answer the client when it is closed */
    gboolean finish; /**< the client has sent all it has */
    gboolean at_end; /**< the download's last packet has been queued */
    Chunk chunks[STREAM_CHUNKS];
    GQueue items; /**< of UploadItem, to be written */

    /* The fields of the job at the worker. */
    StreamJob job;
    Chunk *chunk;   /**< READ: where to */
    GQueue batch;   /**< WRITE: what */
    size_t written; /**< WRITE: bytes of the batch, counted in Client.upload_bytes */
    GError *error;  /**< how it failed */

    /* Guarded by the task's lock while a job is at a worker. */
    Message stuck;     /**< tells that the job hangs in storage, before it comes back */
    GError *why_stuck; /**< NULL: none of its jobs has */
};

/**
 * Makes a stream of an open upload, which it takes over. In the worker that runs the call, whose
 * log context the stream copies. @sparse: the client sends holes as well as data.
 */
Stream *stream_new_upload(CstUpload *upload, gboolean sparse);
/** Makes a stream of an open download, which it takes over, as stream_new_upload() does. */
Stream *stream_new_download(CstDownload *download, gboolean sparse);
/** Closes a stream that has not been started, at a worker. Takes it over. */
void stream_discard(Loop *loop, Stream *stream);

/** FALSE with RPC when @serial has a stream already or the client has as many streams as it may. */
gboolean stream_can_start(Client *client, uint32_t serial, GError **error);
/** Starts @stream under the serial of @header, the reply, which has been queued. Takes it over. */
void stream_start(Client *client, Stream *stream, const CstWireHeader *header);

/** Handles a STREAM or STREAM_HOLE packet. FALSE: the connection cannot go on. */
gboolean stream_packet(Client *client, const CstWireHeader *header, const uint8_t *packet,
                       size_t len);
/** Ends all streams of a client that is gone. */
void streams_abandon(Client *client);
/** Goes on with downloads that waited for room in the client's queue, if there is some. */
void streams_continue(Client *client);
/**
 * Ends streams whose job was cancelled by request while their clients send or read nothing. Called
 * once a second.
 */
void streams_tick(Client *client);

/** Fails the stream with why_stuck: its job hangs. Stream.stuck's function. */
void stream_is_stuck(Loop *loop, Message *stuck);

/* stream_job.c */
/**
 * Does @stream's job and hands it back to its loop. In a thread of the pool of streams, whose data
 * is @server.
 */
void stream_work(gpointer stream, gpointer server);
