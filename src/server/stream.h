/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/log_context.h>
#include <service/volumes.h>
#include <wire/codec.h>

#include "client.h"
#include "loop.h"

/**
 * One upload or download. The loop's thread owns it; a worker gets it for one job at a time (read
 * a chunk, write what came in, finish, close), and the loop leaves the job's fields alone until it
 * is back. A download has two chunks: one is read while the other is written to the socket.
 */
#define STREAM_CHUNK     (1024u * 1024u)
#define STREAM_QUEUE_MAX (4u * 1024u * 1024u) /* bytes of uploads before the socket waits */
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

/** What it counts for in Client.upload_bytes: holes take memory too. */
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
    CstUpload *upload;  /**< one of the two; both NULL once closed */
    CstDownload *download;

    gboolean busy;   /**< a job is at a worker */
    gboolean ending; /**< closed or to be closed; nothing else is to be done */
    gboolean answer; /**< tell the client when it is closed */
    gboolean finish; /**< the client said that it sent all */
    gboolean at_end; /**< the download's last packet has been queued */
    Chunk chunks[STREAM_CHUNKS];
    GQueue items; /**< of UploadItem, to be written */

    /* the job's */
    StreamJob job;
    Chunk *chunk;   /**< READ: where to */
    GQueue batch;   /**< WRITE: what */
    size_t written; /**< WRITE: bytes of the batch, counted in Client.upload_bytes */
    GError *error;  /**< how it failed */
};

/** Made by the call's handler, in a worker. Take over what they are given. */
Stream *stream_new_upload(CstUpload *upload, gboolean sparse);
Stream *stream_new_download(CstDownload *download, gboolean sparse);
/** There is no client to stream to: closes it at a worker. */
void stream_discard(Loop *loop, Stream *stream);

/** FALSE: the serial is taken, or the client has as many streams as it may. */
gboolean stream_can_start(Client *client, uint32_t serial, GError **error);
/** The call has been answered: from here on the stream lives. */
void stream_start(Client *client, Stream *stream, const CstWireHeader *header);

/** A STREAM or STREAM_HOLE packet. FALSE: the connection can't go on. */
gboolean stream_packet(Client *client, const CstWireHeader *header, const uint8_t *packet,
                       size_t len);
/** The client is gone. */
void streams_abandon(Client *client);
/** There may be room again for downloads that waited for it. */
void streams_continue(Client *client);
/** Ends streams whose job was cancelled; their clients may not move for long. Once a second. */
void streams_tick(Client *client);

/* stream_job.c: in a worker thread */
void stream_work(gpointer stream, gpointer server);
