/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/log.h>

#include "event.h"
#include "peer.h"
#include "procedures.h"
#include "server.h"
#include "stream.h"

#define PACKETS_PER_TURN 128
#define READ_MIN         (64u * 1024u)
#define READ_MAX         (1024u * 1024u)
/* Replies that wait to be read; above this no further call of the client is looked at. */
#define OUT_HIGH (4u * 1024u * 1024u)
/* Nobody who only reads, or has not said who to talk to, has a reason for larger packets. */
#define GUEST_PACKET_MAX (1024u * 1024u)

static const CstWireOptions *options_of(const Client *client)
{
    return &client->loop->server->options;
}

gboolean client_is_timed(const Client *client)
{
    return client->keepalive || client->state == CLIENT_NEW || client->state == CLIENT_CLOSING;
}

void client_set_timed(Client *client, gboolean was_timed)
{
    gboolean timed = client->state != CLIENT_DEAD && client_is_timed(client);

    if (timed && !was_timed)
        client->loop->timed++;
    else if (!timed && was_timed)
        client->loop->timed--;
}

/* Whether more packets of this client may be looked at. */
static gboolean may_read(const Client *client)
{
    return client->state <= CLIENT_OPEN && client->in_flight < options_of(client)->max_requests &&
           client->out.bytes < OUT_HIGH && client->upload_bytes < STREAM_QUEUE_MAX;
}

static void update_watch(Client *client, gboolean blocked)
{
    uint32_t wanted = (may_read(client) ? EPOLLIN : 0) | (blocked ? EPOLLOUT : 0);

    if (client->state == CLIENT_DEAD || wanted == client->watched)
        return;
    client->watched = wanted;
    loop_rewatch(client->loop, client->fd, wanted, &client->source);
}

static gboolean is_blocked(const Client *client)
{
    return (client->watched & EPOLLOUT) != 0;
}

/* --- reading --------------------------------------------------------------------------------- */

static size_t packet_limit(const Client *client)
{
    return client->state == CLIENT_NEW || client->read_only ? GUEST_PACKET_MAX
                                                            : CST_WIRE_PACKET_MAX;
}

static void add_to_backlog(Client *client)
{
    if (client->in_backlog)
        return;
    client->in_backlog = TRUE;
    g_ptr_array_add(client->loop->backlog, client_ref(client));
}

/* Handles whole packets at the front of @data; returns how many bytes they had. */
static size_t consume(Client *client, const uint8_t *data, size_t len)
{
    size_t done = 0;

    for (int turn = 0; may_read(client) && len - done >= 4; turn++) {
        g_autoptr(GError) error = NULL;
        size_t need;

        if (!cst_wire_packet_length(data + done, &need, &error) || need > packet_limit(client)) {
            client_drop(client, error ? error->message : "its packet is too large");
            break;
        }
        if (len - done < need)
            break;
        if (turn == PACKETS_PER_TURN) {
            add_to_backlog(client);
            break;
        }
        if (!dispatch_packet(client, data + done, need)) {
            client_drop(client, "it broke the protocol");
            break;
        }
        done += need;
    }
    return done;
}

static void consume_kept(Client *client)
{
    GByteArray *in = client->in;

    if (!in)
        return;
    /* Held here, because dropping the client lets go of it. */
    g_byte_array_ref(in);
    client->in_done += consume(client, in->data + client->in_done, in->len - client->in_done);
    if (client->in && client->in_done == in->len) {
        client->in_done = 0;
        g_clear_pointer(&client->in, g_byte_array_unref);
    }
    g_byte_array_unref(in);
}

static void keep_rest(Client *client, const uint8_t *data, size_t len)
{
    if (client->state > CLIENT_OPEN || len == 0)
        return;
    client->in = g_byte_array_sized_new(len);
    client->in_done = 0;
    g_byte_array_append(client->in, data, len);
}

/* Room for the rest of the first packet, but never for much more than has really come in. */
static size_t make_room(Client *client)
{
    GByteArray *in = client->in;
    size_t want = READ_MIN, need, have;

    if (client->in_done > 0) {
        g_byte_array_remove_range(in, 0, client->in_done);
        client->in_done = 0;
    }
    have = in->len;
    if (have >= 4 && cst_wire_packet_length(in->data, &need, NULL) && need > have)
        want = CLAMP(need - have, READ_MIN, READ_MAX);
    g_byte_array_set_size(in, have + want);
    return want;
}

static ssize_t receive(int fd, void *buf, size_t size)
{
    ssize_t n;

    do
        n = recv(fd, buf, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n;
}

static ssize_t read_kept(Client *client)
{
    size_t room = make_room(client), have = client->in->len - room;
    ssize_t n = receive(client->fd, client->in->data + have, room);

    g_byte_array_set_size(client->in, have + (n > 0 ? (size_t)n : 0));
    if (n > 0)
        consume_kept(client);
    return n;
}

static ssize_t read_fresh(Client *client)
{
    uint8_t *scratch = client->loop->scratch;
    ssize_t n = receive(client->fd, scratch, LOOP_SCRATCH);

    if (n > 0) {
        size_t done = consume(client, scratch, (size_t)n);

        keep_rest(client, scratch + done, (size_t)n - done);
    }
    return n;
}

static void read_some(Client *client)
{
    ssize_t n;

    if (client->keepalive) {
        client->heard = g_get_monotonic_time();
        client->pings = 0;
    }
    n = client->in ? read_kept(client) : read_fresh(client);
    if (client->state == CLIENT_DEAD)
        return;
    if (n == 0)
        client_drop(client, "it hung up");
    else if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        client_drop(client, g_strerror(errno));
}

static void ready(Loop *loop, Source *source, uint32_t events)
{
    Client *client = (Client *)source;

    if (client->state == CLIENT_DEAD)
        return;
    if (events & EPOLLOUT)
        client_sends(client);
    if ((events & EPOLLIN) && may_read(client)) {
        /* With packets still to be looked at, the next ones can wait in the kernel. */
        if (!client->in_backlog)
            read_some(client);
        update_watch(client, is_blocked(client));
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        client_drop(client, "it hung up");
    }
}

void client_continue(Client *client)
{
    client->in_backlog = FALSE;
    if (client->state == CLIENT_DEAD)
        return;
    consume_kept(client);
    update_watch(client, is_blocked(client));
}

void client_resume(Client *client)
{
    if (client->state > CLIENT_OPEN || !may_read(client))
        return;
    /* Through the list, because the caller may be in the middle of a packet of this client. */
    if (client->in)
        add_to_backlog(client);
    update_watch(client, is_blocked(client));
}

/* --- writing --------------------------------------------------------------------------------- */

void client_sends(Client *client)
{
    if (client->in_unsent || client->state == CLIENT_DEAD)
        return;
    client->in_unsent = TRUE;
    g_ptr_array_add(client->loop->unsent, client_ref(client));
}

void client_flush(Client *client)
{
    OutResult result;

    client->in_unsent = FALSE;
    if (client->state == CLIENT_DEAD)
        return;
    result = out_flush(&client->out, client->fd);
    if (result == OUT_BROKEN) {
        client_drop(client, g_strerror(errno));
        return;
    }
    if (result == OUT_EMPTY && client->state == CLIENT_CLOSING) {
        client_drop(client, NULL);
        return;
    }
    if (result == OUT_MORE)
        client_sends(client);
    update_watch(client, result == OUT_BLOCKED);
    client_resume(client);
}

void client_send(Client *client, const CstWireHeader *header, xdrproc_t func, const void *args)
{
    g_autoptr(GError) error = NULL;
    guint before;
    GByteArray *buf;

    if (client->state == CLIENT_DEAD)
        return;
    buf = out_begin(&client->out, FALSE, &before);
    if (!cst_wire_append(buf, header, func, args, &error))
        cst_wire_append_error(buf, header, CST_WIRE_FROM_RPC, error);
    out_appended(&client->out, before);
    client_sends(client);
}

void client_send_error(Client *client, const CstWireHeader *header, CstWireDomain domain,
                       const GError *error)
{
    guint before;
    GByteArray *buf;

    if (client->state == CLIENT_DEAD)
        return;
    buf = out_begin(&client->out, FALSE, &before);
    cst_wire_append_error(buf, header, domain, error);
    out_appended(&client->out, before);
    client_sends(client);
}

/* --- beginning and end ----------------------------------------------------------------------- */

Client *client_new(Loop *loop, int fd, gboolean read_only)
{
    Client *client = g_new0(Client, 1);

    client->source.ready = ready;
    client->loop = loop;
    client->refs = 1;
    client->fd = fd;
    client->read_only = read_only;
    client->born = client->heard = g_get_monotonic_time();
    client->watched = EPOLLIN;
    g_queue_init(&client->waiting);
    if (!peer_identify(client) || !loop_watch(loop, fd, EPOLLIN, &client->source)) {
        peer_forget(client);
        g_atomic_int_add(&loop->server->n_clients, -1);
        close(fd);
        g_free(client);
        return NULL;
    }
    client->link.data = client;
    g_queue_push_tail_link(&loop->clients, &client->link);
    client_set_timed(client, FALSE);
    return client;
}

Client *client_ref(Client *client)
{
    client->refs++;
    return client;
}

void client_unref(Client *client)
{
    if (--client->refs > 0)
        return;
    g_free(client->uri);
    g_free(client);
}

void client_close(Client *client)
{
    gboolean was_timed = client_is_timed(client);

    if (client->state > CLIENT_OPEN)
        return;
    client->state = CLIENT_CLOSING;
    client->born = g_get_monotonic_time();
    client_set_timed(client, was_timed);
    client_sends(client);
}

void client_drop(Client *client, const char *why)
{
    gboolean was_timed = client_is_timed(client);
    Loop *loop = client->loop;

    if (client->state == CLIENT_DEAD)
        return;
    if (why)
        cst_log(CST_LOG_DEBUG, "client %d of user %u: connection ends: %s", (int)client->pid,
                (unsigned)client->uid, why);
    client->state = CLIENT_DEAD;
    client_set_timed(client, was_timed);
    g_queue_unlink(&loop->clients, &client->link);
    /* A child between fork and exec has the socket too: closing it here ends no watch on it. */
    loop_unwatch(loop, client->fd);
    close(client->fd);
    client->fd = -1;
    peer_forget(client);
    g_queue_clear_full(&client->waiting, (GDestroyNotify)call_free);
    g_clear_pointer(&client->tasks, g_hash_table_unref);
    callbacks_clear(client);
    streams_abandon(client);
    out_clear(&client->out);
    g_clear_pointer(&client->in, g_byte_array_unref);
    g_ptr_array_add(loop->dead, client);
    g_atomic_int_add(&loop->server->n_clients, -1);
    if (!loop->stopping)
        listeners_resume(loop);
}

static void ping(Client *client)
{
    static const CstWireHeader header = {.program = WIRE_KEEPALIVE_PROGRAM,
                                         .version = WIRE_VERSION,
                                         .procedure = WIRE_KEEPALIVE_PING,
                                         .type = WIRE_MESSAGE};

    client->pings++;
    client_send(client, &header, NULL, NULL);
}

void client_tick(Client *client, gint64 now)
{
    const CstWireOptions *options = options_of(client);
    gint64 interval = (gint64)options->keepalive_seconds * G_USEC_PER_SEC;

    if (client->state != CLIENT_OPEN) {
        if (now - client->born > (gint64)options->handshake_seconds * G_USEC_PER_SEC)
            client_drop(client, "it took too long to open or to close");
        return;
    }
    if (!client->keepalive || interval == 0)
        return;
    /* Its answer may wait in a socket that is deliberately not read. */
    if (!may_read(client))
        client->heard = now;
    if (now - client->heard < interval * (client->pings + 1))
        return;
    if (client->pings >= options->keepalive_count)
        client_drop(client, "it does not answer keepalive pings");
    else
        ping(client);
}
