/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Upload and download. The functions of the stream driver run in libvirtd's event loop and use only
 * the queue of the relay. They return -2 while the queue is full (send) or empty (recv).
 *
 * finish() of an upload must return cisternd's confirmation, so it waits for it in the event loop.
 * FINISH_WAIT_S bounds that wait.
 */
#include "stream.h"

#include <string.h>

#include "call.h"
#include "layout.h"
#include "relay.h"
#include "symbols.h"

#define FINISH_WAIT_S 10

/* Sets the error of the thread. Returns whether there is one. The lock is held. */
static gboolean relay_fails(const Relay *relay)
{
    if (relay->error)
        symbols.set_error(relay->error);
    return relay->error != NULL;
}

/* A blocking stream waits for room or for data. The lock is held. */
static void wait_until_ready(Relay *relay)
{
    while (!relay->nonblocking && !relay->done && !relay->aborted &&
           (relay->upload ? data_queue_is_full(&relay->queue) : data_queue_is_empty(&relay->queue)))
        g_cond_wait(&relay->changed, &relay->lock);
}

/* --- the stream driver ----------------------------------------------------------------------- */

static int stream_send(virStreamPtr stream, const char *data, size_t len)
{
    Relay *relay = layout_stream_data(stream);
    int answer;

    g_mutex_lock(&relay->lock);
    wait_until_ready(relay);
    if (relay_fails(relay)) {
        answer = -1;
    } else if (!relay->upload || relay->finished || relay->aborted) {
        module_fail(VIR_ERR_OPERATION_INVALID, "%s", "the stream does not accept data");
        answer = -1;
    } else if (data_queue_is_full(&relay->queue)) {
        answer = -2;
    } else {
        answer = (int)MIN(len, QUEUE_PIECE_MAX);
        if (answer > 0)
            data_queue_push(&relay->queue, data, (size_t)answer);
        relay_notify(relay);
    }
    g_mutex_unlock(&relay->lock);
    return answer;
}

/* A hole is accepted at any time, because libvirtd handles -2 as an error. */
static int stream_send_hole(virStreamPtr stream, long long length, unsigned flags)
{
    Relay *relay = layout_stream_data(stream);
    int answer = 0;

    g_mutex_lock(&relay->lock);
    /* On a download, libvirtd skips the hole that it has sent to the client. */
    if (!relay->upload)
        data_queue_pop_hole(&relay->queue, length);
    else if (relay_fails(relay))
        answer = -1;
    else
        data_queue_push_hole(&relay->queue, length);
    relay_notify(relay);
    g_mutex_unlock(&relay->lock);
    return answer;
}

static int stream_recv_flags(virStreamPtr stream, char *data, size_t len, unsigned flags)
{
    Relay *relay = layout_stream_data(stream);
    gint64 hole;
    int answer;

    g_mutex_lock(&relay->lock);
    wait_until_ready(relay);
    hole = data_queue_hole(&relay->queue);
    if (relay->upload) {
        module_fail(VIR_ERR_OPERATION_INVALID, "%s", "the stream has no data to read");
        answer = -1;
    } else if (hole && (flags & VIR_STREAM_RECV_STOP_AT_HOLE)) {
        answer = -3;
    } else if (hole) {
        answer = (int)MIN((gint64)MIN(len, QUEUE_PIECE_MAX), hole);
        memset(data, 0, (size_t)answer);
        data_queue_pop_hole(&relay->queue, answer);
    } else if (!data_queue_is_empty(&relay->queue)) {
        answer = (int)data_queue_pop(&relay->queue, data, MIN(len, QUEUE_PIECE_MAX));
    } else if (relay_fails(relay)) {
        answer = -1;
    } else {
        answer = relay->done ? 0 : -2;
    }
    relay_notify(relay);
    g_mutex_unlock(&relay->lock);
    return answer;
}

static int stream_recv(virStreamPtr stream, char *data, size_t len)
{
    return stream_recv_flags(stream, data, len, 0);
}

static int stream_recv_hole(virStreamPtr stream, long long *length, unsigned flags)
{
    Relay *relay = layout_stream_data(stream);

    g_mutex_lock(&relay->lock);
    *length = data_queue_hole(&relay->queue);
    data_queue_pop_hole(&relay->queue, *length);
    relay_notify(relay);
    g_mutex_unlock(&relay->lock);
    return 0;
}

static int stream_in_data(virStreamPtr stream, int *data, long long *length)
{
    Relay *relay = layout_stream_data(stream);
    int answer = 0;

    g_mutex_lock(&relay->lock);
    wait_until_ready(relay);
    *data = data_queue_data(&relay->queue) > 0;
    *length = *data ? (long long)data_queue_data(&relay->queue) : data_queue_hole(&relay->queue);
    if (*length == 0 && relay_fails(relay))
        answer = -1;
    g_mutex_unlock(&relay->lock);
    return answer;
}

static int stream_event_add(virStreamPtr stream, int events, virStreamEventCallback callback,
                            void *opaque, virFreeCallback free_opaque)
{
    return relay_watch(layout_stream_data(stream), stream, events, callback, opaque, free_opaque);
}

static int stream_event_update(virStreamPtr stream, int events)
{
    return relay_watch_update(layout_stream_data(stream), events);
}

static int stream_event_remove(virStreamPtr stream)
{
    return relay_watch_remove(layout_stream_data(stream));
}

/* A download that is finished early is aborted, as libvirt's own streams are. */
static int stream_finish(virStreamPtr stream)
{
    Relay *relay = layout_stream_data(stream);
    gint64 deadline = g_get_monotonic_time() + FINISH_WAIT_S * G_USEC_PER_SEC;
    int answer = 0;

    g_mutex_lock(&relay->lock);
    if (relay->upload && !relay->aborted)
        relay->finished = TRUE;
    else if (!relay->done)
        relay->aborted = TRUE;
    relay_notify(relay);
    while (relay->finished && !relay->done)
        if (!g_cond_wait_until(&relay->changed, &relay->lock, deadline))
            break;
    if (relay_fails(relay)) {
        answer = -1;
    } else if (relay->finished && !relay->done) {
        module_fail(VIR_ERR_OPERATION_TIMEOUT,
                    "cisternd has not confirmed the upload within %d s; verify the volume",
                    FINISH_WAIT_S);
        answer = -1;
    }
    g_mutex_unlock(&relay->lock);
    return answer;
}

static int stream_abort(virStreamPtr stream)
{
    relay_abort(layout_stream_data(stream));
    return 0;
}

static void stream_free_relay(void *data)
{
    Relay *relay = data;

    relay_abort(relay);
    relay_unref(relay);
}

static const StreamDriver stream_driver = {
    .send = stream_send,
    .recv = stream_recv,
    .recv_flags = stream_recv_flags,
    .send_hole = stream_send_hole,
    .recv_hole = stream_recv_hole,
    .in_data = stream_in_data,
    .event_add = stream_event_add,
    .event_update = stream_event_update,
    .event_remove = stream_event_remove,
    .finish = stream_finish,
    .abort = stream_abort,
};

/* --- upload and download --------------------------------------------------------------------- */

typedef int (*StreamStart)(virStorageVolPtr vol, virStreamPtr stream, unsigned long long offset,
                           unsigned long long length, unsigned flags);

/* Starts the stream of cisternd. Returns NULL and sets an error on failure. */
static virStreamPtr stream_open(Call *call, StreamStart start, unsigned long long offset,
                                unsigned long long length, unsigned flags)
{
    virStreamPtr inner = layout_find_stream(call->conn) ? virStreamNew(call->conn, 0) : NULL;
    virErrorPtr error;

    if (!inner || start(call->vol, inner, offset, length, flags) == 0)
        return inner;
    error = virSaveLastError();
    virStreamFree(inner);
    if (error)
        symbols.set_error(error);
    virFreeError(error);
    return NULL;
}

/* Connects @stream of the caller with @inner, which it owns. Returns FALSE and sets an error. */
static gboolean stream_attach(Call *call, virStreamPtr stream, virStreamPtr inner, gboolean upload)
{
    Relay *relay =
        relay_start(call_steal_link(call), inner, upload, layout_stream_is_nonblocking(stream));

    if (!relay)
        return FALSE;
    if (layout_set_stream(stream, call->caller, &stream_driver, relay, stream_free_relay))
        return TRUE;
    stream_free_relay(relay);
    return FALSE;
}

static int stream_forward(virStorageVolPtr vol, virStreamPtr stream, StreamStart start,
                          unsigned long long offset, unsigned long long length, unsigned flags)
{
    gboolean upload = start == virStorageVolUpload, ok = FALSE;
    Call call = {.kind = upload ? CALL_CHANGES : CALL_READS};

    call_of_volume(&call, vol);
    while (call_begin(&call)) {
        virStreamPtr inner = stream_open(&call, start, offset, length, flags);

        ok = inner && stream_attach(&call, stream, inner, upload);
        call_end(&call, ok);
    }
    return ok ? 0 : -1;
}

static int forward_vol_download(virStorageVolPtr vol, virStreamPtr stream,
                                unsigned long long offset, unsigned long long length,
                                unsigned flags)
{
    return stream_forward(vol, stream, virStorageVolDownload, offset, length, flags);
}

static int forward_vol_upload(virStorageVolPtr vol, virStreamPtr stream, unsigned long long offset,
                              unsigned long long length, unsigned flags)
{
    return stream_forward(vol, stream, virStorageVolUpload, offset, length, flags);
}

void stream_fill_driver(StorageDriver *driver)
{
    driver->vol_download = forward_vol_download;
    driver->vol_upload = forward_vol_upload;
}
