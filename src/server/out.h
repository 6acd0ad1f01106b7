/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * A part of the queue of one socket. Small packets share a segment. A large packet keeps its own
 * array, and a stream chunk is borrowed from its owner; neither is copied.
 */
typedef struct Segment Segment;
struct Segment {
    Segment *next;
    GByteArray *array; /**< NULL: the bytes belong to @owner */
    const uint8_t *data;
    size_t len;
    size_t done;
    gboolean event;
    gboolean secret;
    void (*written)(gpointer owner); /**< called once, after the bytes are sent or dropped */
    gpointer owner;
};

typedef struct {
    Segment *head, *tail;
    size_t bytes;       /**< all unsent bytes */
    size_t event_bytes; /**< the unsent bytes of events */
} OutQueue;

/**
 * Result of out_flush(): the queue is empty, the socket is full, the share of this round is used
 * up, or the connection failed (errno is set).
 */
typedef enum { OUT_EMPTY, OUT_BLOCKED, OUT_MORE, OUT_BROKEN } OutResult;

/**
 * Returns the array to append packets to; the queue owns it. *@ret_before receives its length. Pass
 * it to out_appended() after the append, and queue no other packet in between. @event: the packets
 * are events, which are counted separately.
 */
GByteArray *out_begin(OutQueue *out, gboolean event, guint *ret_before);
/** Counts the bytes appended since out_begin() returned @before. */
void out_appended(OutQueue *out, guint before);

/** Queues the bytes of @array and owns it. @secret: overwrite the bytes after they are sent. */
void out_take(OutQueue *out, GByteArray *array, gboolean secret);
/**
 * Queues @len bytes at @data without copying them. They must stay unchanged until @written(@owner)
 * is called once, after they are sent or dropped.
 */
void out_borrow(OutQueue *out, const uint8_t *data, size_t len, void (*written)(gpointer),
                gpointer owner);

/**
 * Sends until the queue is empty, the socket is full, or the client has used its share of the round
 * (OUT_MORE). Never blocks.
 */
OutResult out_flush(OutQueue *out, int fd);
/** Drops all unsent bytes; calls @written of borrowed segments. */
void out_clear(OutQueue *out);
