/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * What waits to be written to one socket, in order. Small packets share a segment; large ones and
 * stream chunks bring their own memory and are not copied.
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
    void (*written)(gpointer owner); /**< called once, when the bytes are sent or dropped */
    gpointer owner;
};

typedef struct {
    Segment *head, *tail;
    size_t bytes;       /**< all that wait */
    size_t event_bytes; /**< of events */
} OutQueue;

/**
 * What out_flush() has left: nothing, a full socket, a used-up share, or a connection that failed
 * (errno is set).
 */
typedef enum { OUT_EMPTY, OUT_BLOCKED, OUT_MORE, OUT_BROKEN } OutResult;

/**
 * Returns the array to append packets to; the queue keeps it. *@ret_before is its length, which
 * out_appended() takes after the append; nothing else may be queued in between. @event: the packets
 * are events, which are counted separately.
 */
GByteArray *out_begin(OutQueue *out, gboolean event, guint *ret_before);
/** Counts what was appended since out_begin() gave @before. */
void out_appended(OutQueue *out, guint before);

/**
 * Queues the bytes of @array, which it takes over. @secret: they are overwritten after they are
 * sent.
 */
void out_take(OutQueue *out, GByteArray *array, gboolean secret);
/**
 * Queues @len bytes at @data without copying them. They must stay unchanged until @written(@owner)
 * is called, once, when they are sent or dropped.
 */
void out_borrow(OutQueue *out, const uint8_t *data, size_t len, void (*written)(gpointer),
                gpointer owner);

/**
 * Sends until nothing is left, the socket is full, or the client has had its share of the round
 * (OUT_MORE). Never blocks.
 */
OutResult out_flush(OutQueue *out, int fd);
/** Drops what has not been sent; calls @written of borrowed segments. */
void out_clear(OutQueue *out);
