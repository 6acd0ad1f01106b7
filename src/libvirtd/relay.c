/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread of a stream. libvirtd handles streams in its event loop, which must never wait for
 * cisternd: all clients of libvirtd would wait, too. So a thread makes the calls to cisternd, and a
 * bounded queue is between the thread and the event loop.
 *
 *   upload     event loop: send() pushes -> queue -> thread: virStreamSend(), virStreamFinish()
 *   download   thread: virStreamRecvFlags(), virStreamFinish() -> queue -> event loop: recv() pops
 *
 * The thread finishes a download as soon as cisternd reports the end, so that finish() of libvirtd
 * need not wait. An error of the thread is kept, and reported once. On a download, the queue is
 * then empty.
 *
 * A watch is a timer of the event loop. It is disabled (-1) while the stream is not ready, and
 * enabled (0) by relay_notify(). The callback is called without the lock. The timer keeps
 * libvirtd's stream alive until the event loop has forgotten the timer.
 */
#include "relay.h"

#include "symbols.h"

struct Watch {
    Relay *relay;
    virStreamPtr outer;
    int timer;
    int events; /* guarded by the relay's lock */
    virStreamEventCallback callback;
    void *opaque;
    virFreeCallback free_opaque;
};

void relay_unref(Relay *relay)
{
    if (!g_atomic_int_dec_and_test(&relay->refs))
        return;
    data_queue_clear(&relay->queue);
    virFreeError(relay->error);
    g_mutex_clear(&relay->lock);
    g_cond_clear(&relay->changed);
    g_free(relay);
}

void relay_abort(Relay *relay)
{
    g_mutex_lock(&relay->lock);
    if (!relay->finished)
        relay->aborted = TRUE;
    relay_notify(relay);
    g_mutex_unlock(&relay->lock);
}

/* --- events ---------------------------------------------------------------------------------- */

/* The events to report to the watch. The lock is held. */
static int relay_ready_events(const Relay *relay)
{
    gboolean empty = data_queue_is_empty(&relay->queue);
    int ready = 0;

    /* On a download, libvirtd handles the client's finish and abort as if it were writable. */
    if (!relay->upload || relay->error || !data_queue_is_full(&relay->queue))
        ready |= VIR_STREAM_EVENT_WRITABLE;
    if (!relay->upload && (!empty || (relay->done && !relay->error)))
        ready |= VIR_STREAM_EVENT_READABLE;
    ready &= relay->watch->events;
    if (relay->error && !relay->reported && (relay->upload || empty))
        ready |= VIR_STREAM_EVENT_ERROR;
    return ready;
}

void relay_notify(Relay *relay)
{
    g_cond_broadcast(&relay->changed);
    if (relay->watch)
        virEventUpdateTimeout(relay->watch->timer, relay_ready_events(relay) ? 0 : -1);
}

/* Timer function, in the event loop. */
static void watch_fire(int timer, void *opaque)
{
    Watch *watch = opaque;
    Relay *relay = watch->relay;
    int ready = 0;

    g_mutex_lock(&relay->lock);
    if (relay->watch == watch)
        ready = relay_ready_events(relay);
    if (ready & VIR_STREAM_EVENT_ERROR) {
        relay->reported = TRUE;
        symbols.set_error(relay->error);
    }
    if (!ready)
        virEventUpdateTimeout(timer, -1);
    g_mutex_unlock(&relay->lock);
    if (ready)
        watch->callback(watch->outer, ready, watch->opaque);
}

/* Called by the event loop after the timer was removed. */
static void watch_free(void *data)
{
    Watch *watch = data;

    if (watch->free_opaque)
        watch->free_opaque(watch->opaque);
    virStreamFree(watch->outer);
    relay_unref(watch->relay);
    g_free(watch);
}

int relay_watch(Relay *relay, virStreamPtr outer, int events, virStreamEventCallback callback,
                void *opaque, virFreeCallback free_opaque)
{
    Watch *watch = g_new0(Watch, 1);
    gboolean added = FALSE;

    watch->relay = relay;
    watch->outer = outer;
    watch->events = events;
    watch->callback = callback;
    watch->opaque = opaque;
    watch->free_opaque = free_opaque;
    g_mutex_lock(&relay->lock);
    if (!relay->watch)
        watch->timer = virEventAddTimeout(-1, watch_fire, watch, watch_free);
    if (!relay->watch && watch->timer >= 0) {
        added = TRUE;
        virStreamRef(outer);
        g_atomic_int_inc(&relay->refs);
        relay->watch = watch;
        relay_notify(relay);
    }
    g_mutex_unlock(&relay->lock);
    if (added)
        return 0;
    g_free(watch);
    module_fail(VIR_ERR_INTERNAL_ERROR, "%s", "cannot register a callback of a stream");
    return -1;
}

int relay_watch_update(Relay *relay, int events)
{
    gboolean found;

    g_mutex_lock(&relay->lock);
    found = relay->watch != NULL;
    if (found) {
        relay->watch->events = events;
        relay_notify(relay);
    }
    g_mutex_unlock(&relay->lock);
    if (!found)
        module_fail(VIR_ERR_INTERNAL_ERROR, "%s", "the stream has no callback");
    return found ? 0 : -1;
}

int relay_watch_remove(Relay *relay)
{
    Watch *watch;

    g_mutex_lock(&relay->lock);
    watch = g_steal_pointer(&relay->watch);
    g_mutex_unlock(&relay->lock);
    if (!watch) {
        module_fail(VIR_ERR_INTERNAL_ERROR, "%s", "the stream has no callback");
        return -1;
    }
    virEventRemoveTimeout(watch->timer);
    return 0;
}

/* --- the thread ------------------------------------------------------------------------------ */

/* Waits for a piece of an upload. Returns FALSE at the end and after an abort. */
static gboolean upload_next(Relay *relay, char *ret_data, size_t *ret_len, gint64 *ret_hole)
{
    gboolean found;

    g_mutex_lock(&relay->lock);
    while (data_queue_is_empty(&relay->queue) && !relay->finished && !relay->aborted)
        g_cond_wait(&relay->changed, &relay->lock);
    found = !relay->aborted && !data_queue_is_empty(&relay->queue);
    *ret_hole = found ? data_queue_hole(&relay->queue) : 0;
    *ret_len = 0;
    if (*ret_hole)
        data_queue_pop_hole(&relay->queue, *ret_hole);
    else if (found)
        *ret_len = data_queue_pop(&relay->queue, ret_data, QUEUE_PIECE_MAX);
    relay_notify(relay);
    g_mutex_unlock(&relay->lock);
    return found;
}

static gboolean upload_send(virStreamPtr inner, const char *data, size_t len)
{
    while (len > 0) {
        int sent = virStreamSend(inner, data, len);

        if (sent < 0)
            return FALSE;
        data += sent;
        len -= (size_t)sent;
    }
    return TRUE;
}

static gboolean relay_is_aborted(Relay *relay)
{
    gboolean aborted;

    g_mutex_lock(&relay->lock);
    aborted = relay->aborted;
    g_mutex_unlock(&relay->lock);
    return aborted;
}

/* Returns FALSE with an error if cisternd fails. */
static gboolean upload_run(Relay *relay)
{
    g_autofree char *data = g_malloc(QUEUE_PIECE_MAX);
    size_t len;
    gint64 hole;

    while (upload_next(relay, data, &len, &hole))
        if (hole ? virStreamSendHole(relay->inner, hole, 0) < 0
                 : !upload_send(relay->inner, data, len))
            return FALSE;
    return relay_is_aborted(relay) || virStreamFinish(relay->inner) == 0;
}

/* Waits for room in the queue. Returns FALSE after an abort. */
static gboolean download_push(Relay *relay, const char *data, size_t len, gint64 hole)
{
    gboolean wanted;

    g_mutex_lock(&relay->lock);
    while (data_queue_is_full(&relay->queue) && !relay->aborted)
        g_cond_wait(&relay->changed, &relay->lock);
    wanted = !relay->aborted;
    if (wanted && hole)
        data_queue_push_hole(&relay->queue, hole);
    else if (wanted && len)
        data_queue_push(&relay->queue, data, len);
    relay_notify(relay);
    g_mutex_unlock(&relay->lock);
    return wanted;
}

/* Returns FALSE with an error if cisternd fails. */
static gboolean download_run(Relay *relay)
{
    g_autofree char *data = g_malloc(QUEUE_PIECE_MAX);

    for (;;) {
        int got =
            virStreamRecvFlags(relay->inner, data, QUEUE_PIECE_MAX, VIR_STREAM_RECV_STOP_AT_HOLE);
        long long hole = 0;

        if (got == 0)
            return virStreamFinish(relay->inner) == 0;
        if (got == -3 ? virStreamRecvHole(relay->inner, &hole, 0) < 0 : got < 0)
            return FALSE;
        if (!download_push(relay, data, got > 0 ? (size_t)got : 0, hole))
            return TRUE;
    }
}

/* Thread function. Owns a reference to the relay. */
static gpointer relay_run(gpointer data)
{
    Relay *relay = data;
    gboolean ok = relay->upload ? upload_run(relay) : download_run(relay);
    virErrorPtr error = ok ? NULL : virSaveLastError();
    gboolean aborted;

    g_mutex_lock(&relay->lock);
    relay->error = error;
    relay->done = TRUE;
    aborted = relay->aborted || !ok;
    relay_notify(relay);
    g_mutex_unlock(&relay->lock);
    if (aborted)
        virStreamAbort(relay->inner);
    virStreamFree(relay->inner);
    link_release(relay->link);
    relay_unref(relay);
    return NULL;
}

Relay *relay_start(Link *link, virStreamPtr inner, gboolean upload, gboolean nonblocking)
{
    Relay *relay = g_new0(Relay, 1);
    GThread *thread;

    relay->refs = 2;
    relay->link = link;
    relay->inner = inner;
    relay->upload = upload;
    relay->nonblocking = nonblocking;
    g_queue_init(&relay->queue.pieces);
    g_mutex_init(&relay->lock);
    g_cond_init(&relay->changed);
    thread = g_thread_try_new("cistern-stream", relay_run, relay, NULL);
    if (thread) {
        g_thread_unref(thread);
        return relay;
    }
    virStreamAbort(inner);
    virStreamFree(inner);
    link_release(link);
    relay->refs = 1;
    relay_unref(relay);
    module_fail(VIR_ERR_INTERNAL_ERROR, "%s", "cannot start a thread for a stream");
    return NULL;
}
