/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The remote transport: connecting to a server on a Unix socket or over ssh, and disconnecting.
 *
 * Over ssh, netcat on the remote host connects to the server's socket. ssh has one end of a socket
 * pair as standard input and output, so for the client it is like a server's socket. Closing our
 * end makes ssh end. If ssh fails, its message is on the terminal, and our message names host and
 * socket.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "remote_private.h"

/* As in virsh: the connection fails after half a minute without a packet from the server. */
#define PING_MS    5000
#define PING_COUNT 6

/* --- connecting ------------------------------------------------------------------------------ */

/*
 * Starts ssh with one socket as standard input and output. Its errors go to the terminal, unless
 * the connection is unattended.
 */
static CstWireClient *connect_ssh(const CstConnUri *uri, GPid *ret_pid, GError **error)
{
    g_auto(GStrv) argv = cst_conn_uri_ssh_argv(uri);
    g_autoptr(GError) why = NULL;
    GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD;
    int pair[2];
    gboolean ok;

    if (uri->unattended)
        flags |= G_SPAWN_STDERR_TO_DEV_NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        cst_fail_errno(error, errno, _("cannot make a socket"));
        return NULL;
    }
    ok = g_spawn_async_with_pipes_and_fds(NULL, (const char *const *)argv, NULL, flags, NULL, NULL,
                                          pair[1], pair[1], -1, NULL, NULL, 0, ret_pid, NULL, NULL,
                                          NULL, &why);
    close(pair[1]);
    if (!ok) {
        close(pair[0]);
        cst_fail(error, CST_ERROR_UNREACHABLE, _("cannot run '%s': %s"), argv[0], why->message);
        return NULL;
    }
    return cst_wire_client_new(pair[0]);
}

/*
 * Waits for ssh, which ends when its socket is closed. Terminates it after half a second and kills
 * it after a second.
 */
static void reap_ssh(GPid pid)
{
    for (int tries = 0; tries < 100; tries++) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        if (tries == 50)
            kill(pid, SIGTERM);
        g_usleep(10 * 1000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void remote_close(gpointer self)
{
    CstRemote *remote = self;

    cst_wire_client_free(remote->client);
    cst_remote_events_clear(remote);
    if (remote->ssh)
        reap_ssh(remote->ssh);
    g_free(remote);
}

gpointer cst_remote_open(const CstConnUri *uri, gboolean read_only, gboolean *ret_reached,
                         GError **error)
{
    CstRemote *remote;
    GPid ssh = 0;
    CstWireClient *client = uri->target == CST_URI_SSH
                                ? connect_ssh(uri, &ssh, error)
                                : cst_wire_client_connect(uri->socket, error);

    *ret_reached = client != NULL;
    if (!client)
        return NULL;
    remote = g_new0(CstRemote, 1);
    remote->client = client;
    remote->ssh = ssh;
    cst_remote_events_init(remote);
    cst_wire_client_set_keepalive(client, PING_MS, PING_COUNT);
    if (cst_wire_client_authenticate(client, error) &&
        cst_wire_client_open(client, uri->name, read_only ? CST_WIRE_OPEN_RO : 0, error))
        return remote;
    if (ssh && cst_wire_client_broken(client))
        g_prefix_error(error,
                       uri->unattended ? _("ssh to '%s' without a question, remote socket '%s': ")
                                       : _("ssh to '%s', remote socket '%s': "),
                       uri->host, uri->socket);
    remote_close(remote);
    return NULL;
}

const CstTransport cst_remote_transport = {
    .embedded = FALSE,
    .close = remote_close,
    .supports = cst_remote_supports,
    .call = cst_remote_call,
    .call_all = cst_remote_call_all,
    .stream_start = cst_remote_stream_start,
    .stream_put = cst_remote_stream_put,
    .stream_take = cst_remote_stream_take,
    .stream_finish = cst_remote_stream_finish,
    .stream_free = cst_remote_stream_free,
    .set_detach = cst_remote_set_detach,
    .set_dry_run = cst_remote_set_dry_run,
    .subscribe = cst_remote_subscribe,
    .unsubscribe = cst_remote_unsubscribe,
    .wait_events = cst_remote_wait_events,
};
