/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queue of unsent bytes of one socket: a list of segments in sending order. Small packets are
 * appended to the last segment. A large packet keeps its own array. A chunk of a download is
 * borrowed, and its owner is called back after it is sent or dropped. Events are counted
 * separately, because a client that does not read them is dropped (event.c).
 *
 * A segment with a secret is never shared with other packets and is overwritten when it is freed.
 * Appending to it could move the bytes and leave a copy in memory.
 *
 * The queue belongs to a client, and so to the thread of its loop. No function takes a lock.
 */
#include "out.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SHARED_MAX    (64u * 1024u) /* a segment at or above this size gets no further packet */
#define SMALL_MAX     4096u         /* packets up to this size are copied into a shared segment */
#define VECTORS       16
#define SHARE_OF_TURN (4u * 1024u * 1024u) /* bytes of one client in one turn */

static void out_push_segment(OutQueue *out, Segment *segment)
{
    if (out->tail)
        out->tail->next = segment;
    else
        out->head = segment;
    out->tail = segment;
    out->bytes += segment->len;
    if (segment->event)
        out->event_bytes += segment->len;
}

static void free_segment(Segment *segment)
{
    if (segment->secret)
        explicit_bzero(segment->array->data, segment->array->len);
    if (segment->array)
        g_byte_array_unref(segment->array);
    if (segment->written)
        segment->written(segment->owner);
    g_free(segment);
}

static void out_pop_segment(OutQueue *out)
{
    Segment *segment = out->head;

    out->head = segment->next;
    if (!out->head)
        out->tail = NULL;
    free_segment(segment);
}

static gboolean can_share(const Segment *tail, gboolean event)
{
    return tail && tail->array && tail->event == event && !tail->secret && tail->len < SHARED_MAX;
}

GByteArray *out_begin(OutQueue *out, gboolean event, guint *ret_before)
{
    if (!can_share(out->tail, event)) {
        Segment *segment = g_new0(Segment, 1);

        segment->array = g_byte_array_new();
        segment->event = event;
        out_push_segment(out, segment);
    }
    /* out_appended() adds the length, which is known only then. */
    *ret_before = out->tail->array->len;
    return out->tail->array;
}

void out_appended(OutQueue *out, guint before)
{
    Segment *tail = out->tail;
    size_t more = tail->array->len - before;

    /* The append may have moved the array. */
    tail->data = tail->array->data;
    tail->len = tail->array->len;
    out->bytes += more;
    if (tail->event)
        out->event_bytes += more;
}

void out_take(OutQueue *out, GByteArray *array, gboolean secret)
{
    Segment *segment;
    guint before;

    if (array->len <= SMALL_MAX && !secret) {
        g_byte_array_append(out_begin(out, FALSE, &before), array->data, array->len);
        out_appended(out, before);
        g_byte_array_unref(array);
        return;
    }
    segment = g_new0(Segment, 1);
    segment->array = array;
    segment->data = array->data;
    segment->len = array->len;
    segment->secret = secret;
    out_push_segment(out, segment);
}

void out_borrow(OutQueue *out, const uint8_t *data, size_t len, void (*written)(gpointer),
                gpointer owner)
{
    Segment *segment = g_new0(Segment, 1);

    segment->data = data;
    segment->len = len;
    segment->written = written;
    segment->owner = owner;
    out_push_segment(out, segment);
}

static void out_advance(OutQueue *out, size_t sent)
{
    out->bytes -= sent;
    while (out->head) {
        Segment *head = out->head;
        size_t part = MIN(sent, head->len - head->done);

        head->done += part;
        sent -= part;
        if (head->event)
            out->event_bytes -= part;
        if (head->done < head->len)
            return;
        out_pop_segment(out);
    }
}

static ssize_t send_one(const Segment *segment, int fd)
{
    ssize_t sent;

    do
        sent = send(fd, segment->data + segment->done, segment->len - segment->done,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent;
}

static ssize_t send_some(OutQueue *out, int fd)
{
    struct iovec vectors[VECTORS];
    struct msghdr message = {.msg_iov = vectors};
    ssize_t sent;

    /* One segment is the common case, and send(2) costs less than sendmsg(2). */
    if (!out->head->next)
        return send_one(out->head, fd);
    for (Segment *s = out->head; s && message.msg_iovlen < VECTORS; s = s->next) {
        vectors[message.msg_iovlen].iov_base = (void *)(s->data + s->done);
        vectors[message.msg_iovlen++].iov_len = s->len - s->done;
    }
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent;
}

OutResult out_flush(OutQueue *out, int fd)
{
    size_t share = 0;

    while (out->head) {
        size_t waiting = out->bytes;
        ssize_t sent = send_some(out, fd);

        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? OUT_BLOCKED : OUT_BROKEN;
        out_advance(out, (size_t)sent);
        share += (size_t)sent;
        /*
         * A short write with more data waiting: the socket still accepts bytes, but other clients
         * wait.
         */
        if (out->head && (size_t)sent < waiting && share >= SHARE_OF_TURN)
            return OUT_MORE;
    }
    return OUT_EMPTY;
}

void out_clear(OutQueue *out)
{
    while (out->head)
        out_pop_segment(out);
    out->bytes = out->event_bytes = 0;
}
