/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection: its socket, its unhandled and unsent bytes, its accounts, its end. All functions
 * run in the thread of its loop, so there are no locks.
 *
 * Reading: bytes are read into the loop's scratch buffer, and whole packets are handled in place.
 * The client keeps the remaining bytes (in, in_done) and appends further reads until the packet is
 * complete. The socket is not read (client_may_read()) in four cases: too many replies are unsent,
 * too much upload data is unwritten, too many calls are in flight, or the user has used up its
 * budget. Then the kernel's buffer fills and the client blocks.
 *
 * Writing: packets are queued in client->out and sent at the end of the round (clients_round()).
 *
 * Lifetime: references are counted without atomics. client_drop() makes a client DEAD at once. Its
 * own reference is released at the end of the round. Calls and streams at workers keep theirs.
 */
#include "client.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/alloc.h>
#include <base/log.h>

#include "peer.h"
#include "server.h"
#include "stream.h"

#define PACKETS_PER_TURN 128 /* packets of one client before other clients have their turn */
#define READ_MAX         (1024u * 1024u)
#define READ_AHEAD       CLIENT_READ_MIN
/*
 * Limit of a packet from a client that is read-only or has not opened the connection. Such a client
 * has no use for larger packets.
 */
#define GUEST_PACKET_MAX (1024u * 1024u)

static const CstWireOptions *options_of(const Client *client)
{
    return &client->loop->server->options;
}

static const ClientHooks *hooks_of(const Client *client)
{
    return client->loop->server->client_hooks;
}

static gboolean client_is_blocked(const Client *client)
{
    return (client->watched & EPOLLOUT) != 0;
}

static gboolean needs_clock(const Client *client)
{
    return client->state != CLIENT_DEAD &&
           (client->keepalive || client->state != CLIENT_OPEN || client->starved ||
            client_has_streams(client) || client_is_blocked(client));
}

void client_update_timed(Client *client)
{
    gboolean timed = needs_clock(client);

    if (timed == client->timed)
        return;
    client->timed = timed;
    if (timed)
        client->loop->timed++;
    else
        client->loop->timed--;
}

gboolean client_has_room(const Client *client)
{
    return client->out.bytes < OUT_HIGH && !user_is_over(client->user);
}

/* Returns whether the client has max_requests calls in flight, so that the next call must wait. */
static gboolean has_all_calls(const Client *client)
{
    return client->in_flight >= options_of(client)->max_requests;
}

static gboolean has_room_for_packets(const Client *client)
{
    return client->state <= CLIENT_OPEN && client_has_room(client) &&
           client->upload_bytes < STREAM_QUEUE_MAX;
}

/* Returns whether more packets of this client may be handled. */
static gboolean may_handle(const Client *client)
{
    return has_room_for_packets(client) && !has_all_calls(client);
}

/*
 * Returns whether the client's socket may be read. If max_requests calls are in flight, up to
 * READ_AHEAD bytes are still read. They may contain pings, and a client whose pings are not
 * answered would give up its calls.
 */
gboolean client_may_read(const Client *client)
{
    size_t waiting = client->in ? client->in->len - client->in_done : 0;

    return has_room_for_packets(client) && (!has_all_calls(client) || waiting < READ_AHEAD);
}

/*
 * Charges the user for the memory held for this client. Stops starting its calls while it does not
 * read its replies.
 */
static void client_account_memory(Client *client)
{
    CstWireServer *server = client->loop->server;
    size_t held = client->out.bytes + client->upload_bytes + client->call_bytes +
                  (client->in ? client->in->len : 0);
    gboolean closed = client->out.bytes >= OUT_HIGH;

    user_charge(server, client->user, client->held, held);
    client->held = held;
    for (int i = 0; i < WORK_CLASSES; i++)
        if (closed != client->lanes[i].closed)
            workers_close_lane(server->workers[i], &client->lanes[i], closed);
}

static void update_watch(Client *client, gboolean blocked)
{
    uint32_t wanted = (client_may_read(client) ? EPOLLIN : 0) | (blocked ? EPOLLOUT : 0);

    if (client->state == CLIENT_DEAD)
        return;
    client_account_memory(client);
    client->starved = user_is_over(client->user);
    if (wanted != client->watched) {
        client->watched = wanted;
        loop_rewatch(client->loop, client->fd, wanted, &client->source);
    }
    client_update_timed(client);
}

/* --- reading --------------------------------------------------------------------------------- */

/*
 * A call may contain a secret's value, so no copy of its bytes may stay in memory. A handled packet
 * is overwritten in place, and so is memory that bytes are moved out of. Packets of streams contain
 * no secrets. They are most of the traffic and are not overwritten.
 */
static gboolean is_stream_packet(const uint8_t *data, size_t len)
{
    CstWireHeader header;

    if (len < CST_WIRE_HEADER_LEN)
        return FALSE;
    cst_wire_header_read(data, &header);
    return header.type == WIRE_STREAM;
}

/* Overwrites @len bytes that begin with a packet, unless all belong to one packet of a stream. */
static void wipe_left(uint8_t *data, size_t len)
{
    size_t need;

    if (len >= CST_WIRE_HEADER_LEN && is_stream_packet(data, len) &&
        cst_wire_packet_length(data, &need, NULL) && need >= len)
        return;
    explicit_bzero(data, len);
}

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

/* Handles whole packets at the front of @data. Returns the number of bytes handled. */
static size_t client_handle_packets(Client *client, uint8_t *data, size_t len)
{
    size_t done = 0;

    for (int turn = 0; may_handle(client) && len - done >= 4; turn++) {
        g_autoptr(GError) error = NULL;
        gboolean stream, handled;
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
        stream = is_stream_packet(data + done, need);
        handled = hooks_of(client)->packet(client, data + done, need);
        if (!stream)
            explicit_bzero(data + done, need);
        if (!handled) {
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
    /* Acquire a reference, because client_drop() releases the client's own. */
    g_byte_array_ref(in);
    client->in_done +=
        client_handle_packets(client, in->data + client->in_done, in->len - client->in_done);
    if (client->in && client->in_done == in->len) {
        client->in_done = 0;
        g_clear_pointer(&client->in, g_byte_array_unref);
    }
    g_byte_array_unref(in);
}

/* Answers pings among the packets that wait until a call in flight ends. */
static void client_answer_pings(Client *client)
{
    if (client->in && has_all_calls(client))
        hooks_of(client)->ahead(client, client->in->data + client->in_done,
                                MIN(client->in->len - client->in_done, READ_AHEAD));
}

/*
 * Replaces client->in by a new array of @room bytes with the @len bytes at @data, and overwrites
 * @data. Returns FALSE and drops the client if the memory cannot be allocated.
 */
static gboolean client_replace_input(Client *client, uint8_t *data, size_t len, size_t room)
{
    uint8_t *memory = cst_alloc(room, 1, "packet", NULL);
    GByteArray *in;

    if (!memory) {
        wipe_left(data, len);
        client_drop(client, "there is no memory for its packet");
        return FALSE;
    }
    memcpy(memory, data, len);
    wipe_left(data, len);
    in = g_byte_array_new_take(memory, room);
    g_byte_array_set_size(in, (guint)len); /* does not shrink the memory */
    if (client->in)
        g_byte_array_unref(client->in);
    client->in = in;
    client->in_room = room;
    client->in_done = 0;
    return TRUE;
}

static void keep_rest(Client *client, uint8_t *data, size_t len)
{
    if (client->state <= CLIENT_OPEN && len > 0)
        client_replace_input(client, data, len, len + CLIENT_READ_MIN);
    else
        wipe_left(data, len);
}

/* Moves the unhandled bytes to the front, over the handled ones. */
static void move_to_front(Client *client)
{
    GByteArray *in = client->in;
    guint old = in->len;

    if (client->in_done == 0)
        return;
    g_byte_array_remove_range(in, 0, client->in_done);
    client->in_done = 0;
    if (!is_stream_packet(in->data, in->len))
        explicit_bzero(in->data + in->len, old - in->len);
}

/*
 * Makes room in client->in for the rest of the first packet, but for at most READ_MAX bytes more.
 * The limit is needed because a sender can claim any length at no cost. Returns the room in bytes,
 * or 0 if the memory cannot be allocated; the client is dropped then.
 */
static size_t client_make_room(Client *client)
{
    size_t want = CLIENT_READ_MIN, need, have;

    move_to_front(client);
    have = client->in->len;
    if (have >= 4 && cst_wire_packet_length(client->in->data, &need, NULL) && need > have)
        want = CLAMP(need - have, CLIENT_READ_MIN, READ_MAX);
    if (have + want > client->in_room &&
        !client_replace_input(client, client->in->data, have, have + want))
        return 0;
    g_byte_array_set_size(client->in, have + want);
    return want;
}

static void forget_kept(Client *client)
{
    if (client->in)
        wipe_left(client->in->data + client->in_done, client->in->len - client->in_done);
    g_clear_pointer(&client->in, g_byte_array_unref);
}

static ssize_t client_recv(int fd, void *buf, size_t size)
{
    ssize_t n;

    do
        n = recv(fd, buf, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n;
}

static ssize_t read_kept(Client *client)
{
    size_t room = client_make_room(client), have;
    ssize_t n;

    if (room == 0)
        return 0;
    have = client->in->len - room;
    n = client_recv(client->fd, client->in->data + have, room);
    g_byte_array_set_size(client->in, have + (n > 0 ? (size_t)n : 0));
    if (n > 0)
        consume_kept(client);
    return n;
}

static ssize_t read_fresh(Client *client)
{
    uint8_t *scratch = client->loop->scratch;
    ssize_t n = client_recv(client->fd, scratch, LOOP_SCRATCH);

    if (n > 0) {
        size_t done = client_handle_packets(client, scratch, (size_t)n);

        keep_rest(client, scratch + done, (size_t)n - done);
    }
    return n;
}

static void client_read_packets(Client *client)
{
    ssize_t n;

    client->heard = client->moved = g_get_monotonic_time();
    client->pings = 0;
    n = client->in ? read_kept(client) : read_fresh(client);
    if (client->state == CLIENT_DEAD)
        return;
    client_answer_pings(client);
    if (n == 0)
        client_drop(client, "it hung up");
    else if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        client_drop(client, g_strerror(errno));
}

static void client_handle_events(Loop *loop, Source *source, uint32_t events)
{
    Client *client = (Client *)source;

    if (client->state == CLIENT_DEAD)
        return;
    if (events & EPOLLOUT)
        client_sends(client);
    if ((events & EPOLLIN) && client_may_read(client)) {
        /* While packets are unhandled, leave the next ones in the kernel's buffer. */
        if (!client->in_backlog)
            client_read_packets(client);
        update_watch(client, client_is_blocked(client));
    } else if (events & (EPOLLHUP | EPOLLERR)) {
        client_drop(client, "it hung up");
    } else {
        /* Another client of the user may have used up the budget. */
        update_watch(client, client_is_blocked(client));
    }
}

void client_continue(Client *client)
{
    client->in_backlog = FALSE;
    if (client->state == CLIENT_DEAD)
        return;
    consume_kept(client);
    client_answer_pings(client);
    update_watch(client, client_is_blocked(client));
}

void client_resume(Client *client)
{
    if (client->state > CLIENT_OPEN)
        return;
    /* Settle first, because the client may wait for bytes that were just released. */
    client_account_memory(client);
    if (!client_may_read(client))
        return;
    /* Use the backlog, because the caller may be handling a packet of this client. */
    if (client->in && may_handle(client))
        add_to_backlog(client);
    update_watch(client, client_is_blocked(client));
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
    size_t before;

    client->in_unsent = FALSE;
    if (client->state == CLIENT_DEAD)
        return;
    before = client->out.bytes;
    result = out_flush(&client->out, client->fd);
    if (client->out.bytes < before)
        client->moved = g_get_monotonic_time();
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
    hooks_of(client)->room(client);
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

    client->source.ready = client_handle_events;
    client->loop = loop;
    client->refs = 1;
    client->number = ++loop->server->accepted;
    client->fd = fd;
    client->read_only = read_only;
    client->born = client->heard = client->moved = g_get_monotonic_time();
    client->watched = EPOLLIN;
    if (!peer_identify(client) || !loop_watch(loop, fd, EPOLLIN, &client->source)) {
        peer_forget(client);
        g_atomic_int_add(&loop->server->n_clients, -1);
        close(fd);
        client_unref(client);
        return NULL;
    }
    client->session.jobs = cst_client_jobs_new(loop->server->service, client->uid, client->pid);
    client->session.live = cst_live_snapshots_new(loop->server->service);
    for (int i = 0; i < WORK_CLASSES; i++)
        client->lanes[i].user = client->user;
    client->link.data = client;
    g_queue_push_tail_link(&loop->clients, &client->link);
    client_update_timed(client);
    cst_log(CST_LOG_DEBUG, "connection %" G_GUINT64_FORMAT " of process %d of user %u begins%s",
            client->number, (int)client->pid, (unsigned)client->uid,
            read_only ? ", for reading" : "");
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
    if (client->user)
        user_put(client->loop->server, client->user);
    cst_api_identity_unref(client->identity);
    g_free(client->session.uri);
    cst_client_jobs_free(client->session.jobs);
    cst_live_snapshots_free(client->session.live);
    g_free(client);
}

void client_close(Client *client)
{
    if (client->state > CLIENT_OPEN)
        return;
    client->state = CLIENT_CLOSING;
    /* handshake_seconds also limits the closing (clients.c). */
    client->born = g_get_monotonic_time();
    client_update_timed(client);
    client_sends(client);
}

void client_drop(Client *client, const char *why)
{
    Loop *loop = client->loop;

    if (client->state == CLIENT_DEAD)
        return;
    cst_log(CST_LOG_DEBUG, "connection %" G_GUINT64_FORMAT " of process %d of user %u ends: %s",
            client->number, (int)client->pid, (unsigned)client->uid, why ? why : "it is closed");
    client->state = CLIENT_DEAD;
    client_update_timed(client);
    g_queue_unlink(&loop->clients, &client->link);
    /*
     * Unwatch explicitly: close() does not end the watch while a child between fork and exec has a
     * copy of the descriptor.
     */
    loop_unwatch(loop, client->fd);
    close(client->fd);
    client->fd = -1;
    peer_forget(client);
    /*
     * Call gone() before out_clear(), because out_clear() returns chunks to streams, which must not
     * read on.
     */
    hooks_of(client)->gone(client);
    cst_client_jobs_close(client->session.jobs);
    cst_live_snapshots_close(client->session.live);
    out_clear(&client->out);
    forget_kept(client);
    user_charge(loop->server, client->user, client->held, 0);
    client->held = 0;
    g_ptr_array_add(loop->dead, client);
    g_atomic_int_add(&loop->server->n_clients, -1);
    hooks_of(client)->may_accept(loop);
}
