/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listening sockets and the connections they accept. The first loop watches all listeners. Accepted
 * sockets are passed to the loops in rotation (cst_wire_server_adopt()).
 *
 * n_clients counts a connection as soon as it is accepted, before its loop handles it, so that a
 * burst cannot exceed max_clients. At the limit, or if descriptors or memory run out, the loop
 * stops watching its listeners (accepting is FALSE). Further connections then wait in the kernel's
 * queue. listeners_resume() is called after a client has left and once a second.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/i18n.h>
#include <base/log.h>

#include "client.h"
#include "listener.h"
#include "server.h"

/* Limits one round of accepting, so that connected clients are served even in a burst. */
#define ACCEPTS_PER_ROUND 64

/* A listening socket; freed with its loop. */
typedef struct {
    Source source;
    int fd;
    gboolean read_only;
} Listener;

/* A socket that is passed to a loop: a connection to serve, or a listening socket. */
typedef struct {
    Message message;
    int fd;
    gboolean read_only;
} Handover;

static void loop_pass_connection(Loop *loop, void (*func)(Loop *loop, Message *message), int fd,
                                 gboolean read_only)
{
    Handover *handover = g_new0(Handover, 1);

    handover->message.func = func;
    handover->fd = fd;
    handover->read_only = read_only;
    loop_post(loop, &handover->message);
}

static void loop_adopt_connection(Loop *loop, Message *message)
{
    Handover *handover = (Handover *)message;

    if (loop->stopping) {
        close(handover->fd);
        g_atomic_int_add(&loop->server->n_clients, -1);
    } else {
        client_new(loop, handover->fd, handover->read_only);
        /* If the client was refused, another connection can be accepted. */
        listeners_resume(loop);
    }
    g_free(handover);
}

void cst_wire_server_adopt(CstWireServer *server, int fd, gboolean read_only)
{
    guint index = g_atomic_int_add((gint *)&server->next_loop, 1) % server->n_loops;

    g_atomic_int_inc(&server->n_clients);
    loop_pass_connection(server->loops[index], loop_adopt_connection, fd, read_only);
}

static void set_events(Loop *loop, uint32_t events)
{
    for (guint i = 0; i < loop->listeners->len; i++) {
        Listener *listener = g_ptr_array_index(loop->listeners, i);

        loop_rewatch(loop, listener->fd, events, &listener->source);
    }
}

static void listeners_pause(Loop *loop)
{
    loop->accepting = FALSE;
    set_events(loop, 0);
}

static gboolean is_full(const CstWireServer *server)
{
    return (guint)g_atomic_int_get(&server->n_clients) >= server->options.max_clients;
}

static void accept_some(Loop *loop, Source *source, uint32_t events)
{
    Listener *listener = (Listener *)source;

    for (int i = 0; listener->fd >= 0 && i < ACCEPTS_PER_ROUND; i++) {
        int fd;

        /* Further connections wait in the kernel's queue until a client leaves. */
        if (is_full(loop->server)) {
            cst_log(CST_LOG_WARNING, _("%u clients are connected, no more are accepted"),
                    loop->server->options.max_clients);
            listeners_pause(loop);
            return;
        }
        fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            cst_wire_server_adopt(loop->server, fd, listener->read_only);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            cst_log(CST_LOG_WARNING, _("cannot accept a client: %s"), g_strerror(errno));
            listeners_pause(loop);
        }
        return;
    }
}

/*
 * Adds a listener for @fd, which it owns. If watching fails, logs the error; the socket then stays
 * open but accepts no connection.
 */
static void listener_add(Loop *loop, int fd, gboolean read_only)
{
    Listener *listener = g_new0(Listener, 1);

    listener->source.ready = accept_some;
    listener->fd = fd;
    listener->read_only = read_only;
    g_ptr_array_add(loop->listeners, listener);
    if (!loop_watch(loop, fd, EPOLLIN, &listener->source))
        cst_log(CST_LOG_ERROR, _("cannot wait for clients: %s"), g_strerror(errno));
}

static void listen_on(Loop *loop, Message *message)
{
    Handover *handover = (Handover *)message;

    if (loop->stopping)
        close(handover->fd);
    else
        listener_add(loop, handover->fd, handover->read_only);
    g_free(handover);
}

void cst_wire_server_listen(CstWireServer *server, int fd, gboolean read_only)
{
    loop_pass_connection(server->loops[0], listen_on, fd, read_only);
}

void listeners_resume(Loop *loop)
{
    if (loop->accepting || is_full(loop->server))
        return;
    loop->accepting = TRUE;
    set_events(loop, EPOLLIN);
}

/* Keep the structs until the loop is freed, because events of this round may refer to them. */
void listeners_close(Loop *loop)
{
    for (guint i = 0; i < loop->listeners->len; i++) {
        Listener *listener = g_ptr_array_index(loop->listeners, i);

        if (listener->fd >= 0)
            close(listener->fd);
        listener->fd = -1;
    }
    loop->accepting = TRUE;
}
