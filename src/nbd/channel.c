/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sends and receives bytes of a client, over a blocking socket. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "connection.h"

/*
 * Keepalive: a host that died silently is disconnected after two minutes, so that it keeps no
 * place.
 */
#define KEEP_IDLE_S 60
#define KEEP_EACH_S 15
#define KEEP_PROBES 4

void nbd_tune_tcp(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {{SOL_SOCKET, SO_REUSEADDR, 1},
                   {SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S},
                   {IPPROTO_TCP, TCP_KEEPINTVL, KEEP_EACH_S},
                   {IPPROTO_TCP, TCP_KEEPCNT, KEEP_PROBES},
                   {IPPROTO_TCP, TCP_NODELAY, 1}};

    for (guint i = 0; i < G_N_ELEMENTS(options); i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

/* Receives at least one byte. Returns 0 or less if the client has disconnected. */
static ssize_t receive_some(NbdConnection *connection, uint8_t *data, size_t len)
{
    ssize_t got;

    if (connection->session)
        return nbd_session_receive(connection->session, data, len);
    do
        got = recv(connection->fd, data, len, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

static gboolean ahead_fill(NbdConnection *connection, NbdAhead *ahead)
{
    ssize_t got = receive_some(connection, ahead->data, sizeof(ahead->data));

    if (got <= 0)
        return FALSE;
    ahead->at = 0;
    ahead->len = (size_t)got;
    return TRUE;
}

static ssize_t ahead_take(NbdAhead *ahead, uint8_t *data, size_t len)
{
    size_t taken = MIN(len, ahead->len);

    memcpy(data, ahead->data + ahead->at, taken);
    ahead->at += taken;
    ahead->len -= taken;
    return (ssize_t)taken;
}

/* Data longer than the buffer, such as that of a long write, is received without a copy. */
gboolean nbd_receive(NbdConnection *connection, void *data, size_t len)
{
    NbdAhead *ahead = connection->ahead;
    uint8_t *at = data;

    while (len > 0) {
        ssize_t got;

        if (ahead && ahead->len == 0 && len < sizeof(ahead->data) && !ahead_fill(connection, ahead))
            return FALSE;
        got = ahead && ahead->len > 0 ? ahead_take(ahead, at, len)
                                      : receive_some(connection, at, len);
        if (got <= 0)
            return FALSE;
        at += got;
        len -= (size_t)got;
    }
    return TRUE;
}

/* Records have at most 16 KiB, so long data is sent in several. */
static gboolean send_in_session(NbdConnection *connection, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = nbd_session_send(connection->session, data, len);

        if (sent < 0)
            return FALSE;
        data += sent;
        len -= (size_t)sent;
    }
    return TRUE;
}

gboolean nbd_send(NbdConnection *connection, const void *head, size_t head_len, const void *data,
                  size_t len)
{
    struct iovec pieces[2] = {{(void *)head, head_len}, {(void *)data, len}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};

    if (connection->session)
        return send_in_session(connection, head, head_len) &&
               send_in_session(connection, data, len);
    while (pieces[0].iov_len + pieces[1].iov_len > 0) {
        ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR)
            return FALSE;
        for (guint i = 0; i < 2 && sent > 0; i++) {
            size_t done = MIN((size_t)sent, pieces[i].iov_len);

            pieces[i].iov_base = (uint8_t *)pieces[i].iov_base + done;
            pieces[i].iov_len -= done;
            sent -= (ssize_t)done;
        }
    }
    return TRUE;
}
