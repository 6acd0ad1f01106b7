/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Identifies the process at the other end of a socket, decides whether it may use that socket, and
 * counts its connection.
 *
 * The kernel's answers (SO_PEERCRED, SO_PEERGROUPS) are from the time of connect(2), so a later
 * change of user or exec has no effect. An untrusted user counts against two limits. n_guests
 * limits the connections of all untrusted users together, so that root can still connect. user.c
 * limits the connections of each user. Subordinate uids count for their owner (subuid.c), but the
 * rights of a connection depend on its own uid.
 *
 * A process that may not use the socket is not disconnected. The server refuses it when it opens
 * the connection, with a message that gives the reason (check_access(), dispatch.c).
 */
#include "peer.h"

#include <errno.h>
#include <sys/socket.h>

#include <base/i18n.h>
#include <base/log.h>

#include "server.h"

#define GROUPS_MAX 65536 /* NGROUPS_MAX of Linux */

static gboolean in_supplementary_groups(int fd, gid_t group)
{
    /* Enough for almost every user; the kernel reports the length that it needs. */
    socklen_t len = 64 * sizeof(gid_t);
    g_autofree gid_t *groups = g_malloc(len);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0) {
        if (errno != ERANGE || len > GROUPS_MAX * sizeof(gid_t))
            return FALSE;
        groups = g_realloc(groups, len);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
            return FALSE;
    }
    for (size_t i = 0; i < len / sizeof(gid_t); i++)
        if (groups[i] == group)
            return TRUE;
    return FALSE;
}

/* Connections reserved for root and the daemon's user. */
static guint reserved_connections(const CstWireOptions *options)
{
    return MIN(MAX(options->max_clients / 10, 32), options->max_clients / 2);
}

/*
 * Marks connections as scarce. Returns TRUE if the refusal should be logged. This is once per
 * period of scarcity, because a refused user could fill the log by retrying.
 */
static gboolean note_refusal(CstWireServer *server)
{
    gboolean first = !server_is_scarce(server);

    server->scarce_at = g_get_monotonic_time();
    return first;
}

/*
 * Counts the connection. Returns FALSE if the limit of all untrusted users, or of this user, is
 * reached. Trusted users are not counted.
 */
static gboolean count_user(Client *client)
{
    CstWireServer *server = client->loop->server;
    guint most = server->options.max_clients - reserved_connections(&server->options);

    if (client->trusted)
        return TRUE;
    if ((guint)g_atomic_int_add(&server->n_guests, 1) >= most) {
        g_atomic_int_add(&server->n_guests, -1);
        if (note_refusal(server))
            cst_log(CST_LOG_WARNING,
                    _("user %u is refused: %u connections are open, the rest is for root"),
                    (unsigned)client->uid, most);
        return FALSE;
    }
    client->counted = user_connect(server, client->user);
    if (!client->counted) {
        g_atomic_int_add(&server->n_guests, -1);
        if (note_refusal(server))
            cst_log(CST_LOG_WARNING,
                    _("user %u has %u connections already, another of uid %u is refused"),
                    (unsigned)client->user->account, server->options.max_user_clients,
                    (unsigned)client->uid);
    }
    return client->counted;
}

gboolean peer_identify(Client *client)
{
    const CstWireOptions *options = &client->loop->server->options;
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return FALSE;
    client->uid = peer.uid;
    client->pid = peer.pid;
    client->user = user_get(client->loop->server, peer.uid);
    client->trusted = client->user->trusted;
    client->allowed = client->trusted || client->read_only ||
                      (options->has_group && (peer.gid == options->group ||
                                              in_supplementary_groups(client->fd, options->group)));
    return count_user(client);
}

void peer_forget(Client *client)
{
    CstWireServer *server = client->loop->server;

    if (!client->counted)
        return;
    client->counted = FALSE;
    user_disconnect(server, client->user);
    g_atomic_int_add(&server->n_guests, -1);
}
