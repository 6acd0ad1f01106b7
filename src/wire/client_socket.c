/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client's socket: reading, writing and keepalive, all in cst_wire_client_pump().
 *
 * Input is buffered until a packet is complete. The buffer doubles as bytes arrive, up to the
 * largest packet, but never because of a length word. Output has two sources: the queue of packets,
 * and one packet of stream data that is sent from the caller's memory without a copy. A partly sent
 * packet is completed before any other bytes are sent.
 */
#include "client_private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

/* Size of the input buffer under load: a stream packet of 1 MiB and the next one. */
#define IN_SIZE (2u * 1024 * 1024 + 64)

void cst_wire_client_wipe(CstWireClient *client)
{
    explicit_bzero(client->in, client->in_start);
    explicit_bzero(client->in + client->in_end, client->in_size - client->in_end);
    if (client->out->len == 0) {
        /* An emptied byte array keeps its memory and the bytes in it. */
        g_byte_array_set_size(client->out, 64 * 1024 + 1024);
        explicit_bzero(client->out->data, client->out->len);
        g_byte_array_set_size(client->out, 0);
    }
}

const GError *cst_wire_client_broken(const CstWireClient *client)
{
    return client->broken;
}

void cst_wire_client_break(CstWireClient *client, GError *why)
{
    if (client->broken)
        g_error_free(why);
    else
        client->broken = why;
}

gboolean cst_wire_client_usable(const CstWireClient *client, GError **error)
{
    if (!client->broken)
        return TRUE;
    if (error)
        *error = g_error_copy(client->broken);
    return FALSE;
}

static void connection_lost(CstWireClient *client, int err)
{
    GError *why = NULL;

    if (err)
        cst_fail(&why, CST_ERROR_UNREACHABLE, _("the connection to the server was lost: %s"),
                 g_strerror(err));
    else
        cst_fail(&why, CST_ERROR_UNREACHABLE, _("the server closed the connection"));
    cst_wire_client_break(client, why);
}

/* --- reading --------------------------------------------------------------------------------- */

/*
 * Makes free space after the received bytes. The buffer grows with the bytes that have arrived, not
 * with the value of a length word. The largest packet bounds it, because complete packets are
 * removed before each call. Returns FALSE if memory runs out; the connection has then failed.
 */
static gboolean grow_input_buffer(CstWireClient *client)
{
    size_t have = client->in_end - client->in_start, size;
    GError *why = NULL;
    uint8_t *grown;

    /*
     * Free space for the same number of bytes is enough, because moving the bytes would cost more
     * than it gains.
     */
    if (client->in_end < client->in_size && client->in_size - client->in_end >= have)
        return TRUE;
    if (client->in_start > 0) {
        memmove(client->in, client->in + client->in_start, have);
        client->in_start = 0;
        client->in_end = have;
    }
    if (client->in_size - have >= have && have < client->in_size)
        return TRUE;
    size = MIN(client->in_size * 2, (size_t)CST_WIRE_PACKET_MAX + IN_SIZE);
    grown = cst_realloc(client->in, size, 1, "reply", &why);
    if (!grown) {
        cst_wire_client_break(client, why);
        return FALSE;
    }
    client->in = grown;
    client->in_size = size;
    return TRUE;
}

/* Dispatches every complete packet in the buffer. */
static void handle_packets(CstWireClient *client)
{
    while (!client->broken && client->in_end - client->in_start >= CST_WIRE_HEADER_LEN) {
        const uint8_t *packet = client->in + client->in_start;
        GError *why = NULL;
        size_t len;

        if (!cst_wire_packet_length(packet, &len, &why)) {
            cst_wire_client_break(client, why);
            return;
        }
        if (client->in_end - client->in_start < len)
            return;
        /* The handler must not pump, because in_start still points to this packet. */
        client->handle_packet(client, packet, len);
        client->in_start += len;
    }
    if (client->in_start == client->in_end)
        client->in_start = client->in_end = 0;
}

static void read_socket(CstWireClient *client)
{
    ssize_t n;

    if (!grow_input_buffer(client))
        return;
    n = recv(client->fd, client->in + client->in_end, client->in_size - client->in_end, 0);
    if (n > 0) {
        gboolean filled = (size_t)n == client->in_size - client->in_end;

        client->in_end += n;
        client->last_in = g_get_monotonic_time();
        client->pings = 0;
        handle_packets(client);
        /* The server sends faster than this side reads, so read more at once from now on. */
        if (filled && client->in_size < IN_SIZE) {
            client->in_size = IN_SIZE;
            client->in = g_realloc(client->in, client->in_size);
        }
    } else if (n == 0) {
        connection_lost(client, 0);
    } else if (errno != EAGAIN && errno != EINTR) {
        connection_lost(client, errno);
    }
}

/* --- writing --------------------------------------------------------------------------------- */

static gboolean has_output(const CstWireClient *client)
{
    return client->out->len > client->out_sent || client->direct[1].iov_len > 0 ||
           client->direct[0].iov_len > 0;
}

static void advance_queue(CstWireClient *client, size_t n)
{
    client->out_sent += n;
    if (client->out_sent == client->out->len) {
        g_byte_array_set_size(client->out, 0);
        client->out_sent = 0;
    }
}

static void advance_direct(CstWireClient *client, size_t n)
{
    for (int i = 0; i < 2; i++) {
        size_t part = MIN(n, client->direct[i].iov_len);

        client->direct[i].iov_base = (uint8_t *)client->direct[i].iov_base + part;
        client->direct[i].iov_len -= part;
        n -= part;
    }
    client->direct_started = client->direct[0].iov_len > 0 || client->direct[1].iov_len > 0;
}

static void write_socket(CstWireClient *client)
{
    /*
     * Packets of the queue have precedence over stream data, except in the middle of a packet of
     * stream data.
     */
    gboolean queue = !client->direct_started && client->out->len > client->out_sent;
    struct iovec queued = {client->out->data + client->out_sent,
                           client->out->len - client->out_sent};
    struct msghdr message = {.msg_iov = queue ? &queued : client->direct,
                             .msg_iovlen = queue ? 1 : 2};
    ssize_t n;

    CST_TEST_POINT("wire.client.write");
    n = sendmsg(client->fd, &message, MSG_NOSIGNAL);
    if (n >= 0) {
        if (queue)
            advance_queue(client, n);
        else
            advance_direct(client, n);
        return;
    }
    /*
     * Read the bytes that the server sent before it closed the connection, because they may contain
     * the reason.
     */
    if (errno != EAGAIN && errno != EINTR) {
        int err = errno;

        while (!client->broken) {
            size_t before = client->in_end - client->in_start;

            read_socket(client);
            if (client->in_end - client->in_start == before && !client->broken)
                connection_lost(client, err);
        }
    }
}

/* --- keepalive ------------------------------------------------------------------------------- */

void cst_wire_client_set_keepalive(CstWireClient *client, int interval_ms, int count)
{
    client->ping_interval_ms = interval_ms;
    client->ping_count = count;
}

/* Queues a ping if one is due. Returns the milliseconds until the next one; -1: no keepalive. */
static int keepalive_step(CstWireClient *client)
{
    static const CstWireHeader ping = {
        WIRE_KEEPALIVE_PROGRAM, WIRE_VERSION, WIRE_KEEPALIVE_PING, WIRE_MESSAGE, 0, WIRE_OK};
    gint64 now = g_get_monotonic_time(),
           interval = client->ping_interval_ms * G_GINT64_CONSTANT(1000);
    gint64 due;

    if (interval <= 0)
        return -1;
    /* Time that the program spent outside of the pump does not count as the server's silence. */
    if (now - client->last_pump > interval) {
        client->last_in = now;
        client->pings = 0;
    }
    client->last_pump = now;
    due = client->last_in + interval * (client->pings + 1);
    if (now >= due) {
        if (client->pings >= client->ping_count) {
            GError *why = NULL;

            cst_fail(&why, CST_ERROR_TIMEOUT, _("the server has not responded for %d seconds"),
                     (int)((now - client->last_in) / G_USEC_PER_SEC));
            cst_wire_client_break(client, why);
            return 0;
        }
        cst_wire_append_raw(client->out, &ping, NULL, 0);
        client->pings++;
        due += interval;
    }
    return (int)((due - now) / 1000) + 1;
}

/* --- the loop -------------------------------------------------------------------------------- */

gboolean cst_wire_client_pump(CstWireClient *client, int timeout_ms, int wake_fd, GError **error)
{
    struct pollfd fds[2] = {{.fd = client->fd, .events = POLLIN},
                            {.fd = wake_fd, .events = POLLIN}};
    int ping_ms, rc;

    if (!cst_wire_client_usable(client, error))
        return FALSE;
    ping_ms = keepalive_step(client);
    if (ping_ms >= 0 && (timeout_ms < 0 || ping_ms < timeout_ms))
        timeout_ms = ping_ms;
    if (has_output(client))
        fds[0].events |= POLLOUT;
    /* Does not wait if keepalive_step() has failed the connection. */
    rc = poll(fds, 2, client->broken ? 0 : timeout_ms);
    client->last_pump = g_get_monotonic_time();
    if (rc < 0 && errno != EINTR)
        connection_lost(client, errno);
    /* Reading first, because the server's error may explain why a write fails. */
    if (rc > 0 && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)))
        read_socket(client);
    if (rc > 0 && !client->broken && (fds[0].revents & POLLOUT))
        write_socket(client);
    return cst_wire_client_usable(client, error);
}
