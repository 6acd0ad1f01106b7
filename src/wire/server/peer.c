/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/i18n.h>
#include <base/log.h>

#include "server.h"

#define GROUPS_MAX 65536 /* NGROUPS_MAX of Linux */

static gboolean in_supplementary_groups(int fd, gid_t group)
{
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

/* Counts the connection; FALSE when the user has as many as allowed. */
static gboolean count_user(Client *client)
{
    CstWireServer *server = client->loop->server;
    gpointer key = GUINT_TO_POINTER(client->uid);
    gboolean ok;
    guint n;

    g_mutex_lock(&server->users_lock);
    n = GPOINTER_TO_UINT(g_hash_table_lookup(server->users, key));
    ok = n < server->options.max_user_clients;
    if (ok)
        g_hash_table_insert(server->users, key, GUINT_TO_POINTER(n + 1));
    g_mutex_unlock(&server->users_lock);
    client->counted = ok;
    if (!ok)
        cst_log(CST_LOG_WARNING, _("user %u has %u connections already, another is refused"),
                (unsigned)client->uid, n);
    return ok;
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
    client->trusted = peer.uid == 0 || peer.uid == geteuid();
    client->allowed = client->trusted || client->read_only ||
                      (options->has_group && (peer.gid == options->group ||
                                              in_supplementary_groups(client->fd, options->group)));
    return client->trusted || count_user(client);
}

void peer_forget(Client *client)
{
    CstWireServer *server = client->loop->server;
    gpointer key = GUINT_TO_POINTER(client->uid);
    guint n;

    if (!client->counted)
        return;
    client->counted = FALSE;
    g_mutex_lock(&server->users_lock);
    n = GPOINTER_TO_UINT(g_hash_table_lookup(server->users, key));
    if (n > 1)
        g_hash_table_insert(server->users, key, GUINT_TO_POINTER(n - 1));
    else
        g_hash_table_remove(server->users, key);
    g_mutex_unlock(&server->users_lock);
}
