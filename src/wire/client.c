/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening and closing of a client's connection.
 *
 * A client consists of an input buffer, an output queue and two tables by serial: calls that wait
 * for their reply, and streams. client_socket.c transfers bytes, client_call.c dispatches packets
 * and matches replies to calls, client_stream.c implements streams. All functions run in the
 * caller's thread, so there are no locks.
 */
#include "client_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

static void wire_pending_free(gpointer data)
{
    CstWirePending *pending = data;

    /* The reply may contain the value of a secret. */
    if (pending->packet)
        explicit_bzero(pending->packet, pending->len);
    g_free(pending->packet);
    g_free(pending);
}

CstWireClient *cst_wire_client_new(int fd)
{
    CstWireClient *client = g_new0(CstWireClient, 1);

    client->fd = fd;
    client->handle_packet = cst_wire_client_handle_packet;
    /*
     * The pump reads and writes only as much as the socket accepts, and never waits in recv() or
     * sendmsg().
     */
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    client->in_size = 64 * 1024;
    client->in = g_malloc(client->in_size);
    client->out = g_byte_array_new();
    client->pending = g_hash_table_new_full(NULL, NULL, NULL, wire_pending_free);
    client->streams = g_hash_table_new(NULL, NULL);
    client->last_in = client->last_pump = g_get_monotonic_time();
    return client;
}

static gboolean fail_connect(int err, const char *path, GError **error)
{
    if (err == ENOENT)
        return cst_fail(error, CST_ERROR_UNREACHABLE,
                        _("no server listens at '%s' (there is no such socket); start one with "
                          "'systemctl start cisternd' or 'cisternd --root DIR'"),
                        path);
    if (err == ECONNREFUSED)
        return cst_fail(error, CST_ERROR_UNREACHABLE,
                        _("no server listens at '%s' any more; start it again with 'systemctl "
                          "start cisternd' or 'cisternd --root DIR'"),
                        path);
    return cst_fail_errno(error, err, _("cannot connect to '%s'"), path);
}

CstWireClient *cst_wire_client_connect(const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_auto(CstFd) fd = -1;
    int rc;

    if (strlen(path) >= sizeof(address.sun_path)) {
        cst_fail(error, CST_ERROR_INVALID, _("path of the socket is longer than %zu bytes: '%s'"),
                 sizeof(address.sun_path) - 1, path);
        return NULL;
    }
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot make a socket"));
        return NULL;
    }
    do {
        rc = connect(fd, (struct sockaddr *)&address, sizeof(address));
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        fail_connect(errno, path, error);
        return NULL;
    }
    return cst_wire_client_new(g_steal_fd(&fd));
}

/*
 * Sends CONNECT_CLOSE once, without waiting. Bytes that do not fit into the socket now are not
 * sent.
 */
static void send_close(CstWireClient *client)
{
    static const CstWireProc close_proc = {WIRE_REMOTE_PROGRAM, WIRE_PROC_CONNECT_CLOSE, NULL,
                                           NULL};
    uint32_t serial;

    if (client->opened && cst_wire_client_send(client, &close_proc, NULL, &serial, NULL))
        cst_wire_client_pump(client, 0, -1, NULL);
}

void cst_wire_client_free(CstWireClient *client)
{
    if (!client)
        return;
    send_close(client);
    close(client->fd);
    g_hash_table_unref(client->streams);
    g_hash_table_unref(client->pending);
    g_byte_array_unref(client->out);
    g_free(client->in);
    g_clear_error(&client->broken);
    g_free(client);
}
