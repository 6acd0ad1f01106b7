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
    void (*written)(gpointer owner); /**< called once, written or thrown away */
    gpointer owner;
};

typedef struct {
    Segment *head, *tail;
    size_t bytes;       /**< all that wait */
    size_t event_bytes; /**< of events */
} OutQueue;

typedef enum { OUT_EMPTY, OUT_BLOCKED, OUT_MORE, OUT_BROKEN } OutResult;

/**
 * Array to append packets to; call out_appended() afterwards with its length from before. @event:
 * the packets are events, counted on their own.
 */
GByteArray *out_begin(OutQueue *out, gboolean event, guint *ret_before);
void out_appended(OutQueue *out, guint before);

/** Takes @array over; @secret: overwrites it when it is sent. */
void out_take(OutQueue *out, GByteArray *array, gboolean secret);
/** @written(@owner) says when @data may be used again. */
void out_borrow(OutQueue *out, const uint8_t *data, size_t len, void (*written)(gpointer),
                gpointer owner);

/** Writes until done, until the socket is full, or until it had its share (OUT_MORE). */
OutResult out_flush(OutQueue *out, int fd);
void out_clear(OutQueue *out);
