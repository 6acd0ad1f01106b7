/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of QEMU's machine protocol (QMP) over a Unix socket.
 *
 *     QEMU    {"QMP": {"version": …, "capabilities": []}}
 *     client  {"execute": "qmp_capabilities"}
 *     QEMU    {"return": {}}
 *     client  {"execute": "query-block"}
 *     QEMU    {"event": "…", …}             at any time
 *     QEMU    {"return": […]}               or: {"error": {"class": …, "desc": …}}
 *
 * Each message is one line. A monitor serves one client, and does not send its greeting to a
 * second one. So the greeting has a limit, as each reply has: CST_QMP_REPLY_S. The length of a line
 * is limited, and the number of lines before a reply.
 */
#include "qmp_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/file.h>
#include <hypervisor/qmp.h>

#define LINE_MAX_BYTES (4 << 20)
#define EVENTS_MAX     1000 /* before a reply */
#define READ_BYTES     65536

gboolean qmp_client_fail(QmpClient *client, QmpOutcome outcome, const char *detail)
{
    if (client->outcome != QMP_DONE)
        return FALSE;
    client->outcome = outcome;
    client->detail = g_strdup(detail);
    return FALSE;
}

void qmp_client_forget_failure(QmpClient *client)
{
    client->outcome = QMP_DONE;
    g_clear_pointer(&client->detail, g_free);
}

void qmp_client_clear(QmpClient *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    g_clear_pointer(&client->in, g_byte_array_unref);
    if (client->parser)
        g_object_unref(client->parser);
    client->parser = NULL;
    g_clear_pointer(&client->detail, g_free);
}

/* --- members ---------------------------------------------------------------------------------- */

static JsonNode *value_member(JsonObject *object, const char *name, GType type)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type ? node
                                                                                         : NULL;
}

JsonObject *qmp_object_member(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

const char *qmp_text_member(JsonObject *object, const char *name)
{
    JsonNode *node = value_member(object, name, G_TYPE_STRING);

    return node ? json_node_get_string(node) : NULL;
}

gboolean qmp_size_member(JsonObject *object, const char *name, uint64_t *ret_value)
{
    JsonNode *node = value_member(object, name, G_TYPE_INT64);
    gint64 value = node ? json_node_get_int(node) : -1;

    *ret_value = value >= 0 ? (uint64_t)value : 0;
    return value >= 0;
}

gboolean qmp_true_member(JsonObject *object, const char *name)
{
    JsonNode *node = value_member(object, name, G_TYPE_BOOLEAN);

    return node && json_node_get_boolean(node);
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Waits until the socket is ready for @events. @until: monotonic microseconds. */
static gboolean client_await(QmpClient *client, short events, gint64 until)
{
    for (;;) {
        gint64 left_ms = (until - g_get_monotonic_time()) / G_TIME_SPAN_MILLISECOND;
        struct pollfd event = {.fd = client->fd, .events = events};
        int ready = left_ms > 0 ? poll(&event, 1, (int)left_ms) : 0;

        if (ready > 0)
            return TRUE;
        if (ready == 0)
            return qmp_client_fail(client, QMP_SILENT, NULL);
        if (errno != EINTR)
            return qmp_client_fail(client, QMP_UNCONNECTED, g_strerror(errno));
    }
}

static gboolean client_receive(QmpClient *client, gint64 until)
{
    guint old = client->in->len;
    ssize_t len;

    if (!client_await(client, POLLIN, until))
        return FALSE;
    g_byte_array_set_size(client->in, old + READ_BYTES);
    len = recv(client->fd, client->in->data + old, READ_BYTES, MSG_DONTWAIT);
    g_byte_array_set_size(client->in, old + (len > 0 ? (guint)len : 0));
    if (len > 0 || (len < 0 && (errno == EAGAIN || errno == EINTR)))
        return TRUE;
    return qmp_client_fail(client, QMP_CLOSED, NULL);
}

/* Returns the end of the first line, borrowed; NULL: it is incomplete, or a failure was set. */
static const guint8 *client_find_line(QmpClient *client)
{
    const guint8 *end =
        client->in->len > 0 ? memchr(client->in->data, '\n', client->in->len) : NULL;

    if (!end && client->in->len > LINE_MAX_BYTES)
        qmp_client_fail(client, QMP_TOO_LONG, NULL);
    return end;
}

/* Parses the line up to @end. The object is borrowed until the next line. NULL with a failure. */
static JsonObject *client_parse_line(QmpClient *client, const guint8 *end)
{
    gboolean ok = json_parser_load_from_data(client->parser, (const char *)client->in->data,
                                             end - client->in->data, NULL);
    JsonNode *root = ok ? json_parser_get_root(client->parser) : NULL;

    g_byte_array_remove_range(client->in, 0, (guint)(end - client->in->data) + 1);
    if (root && JSON_NODE_HOLDS_OBJECT(root))
        return json_node_get_object(root);
    qmp_client_fail(client, QMP_MALFORMED, NULL);
    return NULL;
}

/* Returns the next line as an object, borrowed until the next line. NULL with a failure. */
static JsonObject *client_read_line(QmpClient *client, gint64 until)
{
    const guint8 *end;

    while (!(end = client_find_line(client)))
        if (client->outcome != QMP_DONE || !client_receive(client, until))
            return NULL;
    return client_parse_line(client, end);
}

/* Returns FALSE if the object, which may be NULL, is no event. */
static gboolean client_count_event(QmpClient *client, JsonObject *object)
{
    const char *event = qmp_text_member(object, "event");

    client->stops += g_strcmp0(event, "STOP") == 0;
    client->resumptions += g_strcmp0(event, "RESUME") == 0;
    return event != NULL;
}

static gboolean client_send(QmpClient *client, const char *text, gint64 until)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t len = send(client->fd, text, left, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (len < 0 && errno != EAGAIN && errno != EINTR)
            return qmp_client_fail(client, QMP_CLOSED, NULL);
        if (len > 0) {
            text += len;
            left -= (size_t)len;
        } else if (!client_await(client, POLLOUT, until)) {
            return FALSE;
        }
    }
    return TRUE;
}

static gint64 reply_until(const QmpClient *client)
{
    gint64 until = g_get_monotonic_time() + CST_QMP_REPLY_S * G_TIME_SPAN_SECOND;

    return client->until ? MIN(until, client->until) : until;
}

JsonNode *qmp_client_command(QmpClient *client, const char *command)
{
    g_autofree char *line = g_strconcat(command, "\n", NULL);
    gint64 until = reply_until(client);

    if (!client_send(client, line, until))
        return NULL;
    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        JsonObject *reply = client_read_line(client, until);
        JsonObject *failure = qmp_object_member(reply, "error");
        JsonNode *result = reply ? json_object_get_member(reply, "return") : NULL;

        if (result)
            return result;
        if (failure)
            qmp_client_fail(client, QMP_REFUSED, qmp_text_member(failure, "desc"));
        else if (reply && !client_count_event(client, reply))
            qmp_client_fail(client, QMP_MALFORMED, NULL);
        if (client->outcome != QMP_DONE)
            return NULL;
    }
    qmp_client_fail(client, QMP_MALFORMED, NULL);
    return NULL;
}

gboolean qmp_client_receive_events(QmpClient *client)
{
    const guint8 *end;

    if (!client_receive(client, reply_until(client)))
        return FALSE;
    while ((end = client_find_line(client)))
        if (!client_count_event(client, client_parse_line(client, end)))
            return qmp_client_fail(client, QMP_MALFORMED, NULL);
    return client->outcome == QMP_DONE;
}

/* --- the connection --------------------------------------------------------------------------- */

/* A full queue of the socket is EAGAIN: further clients wait for the monitor. */
static gboolean client_open(QmpClient *client, const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client->fd < 0)
        return qmp_client_fail(client, QMP_UNCONNECTED, g_strerror(errno));
    g_strlcpy(address.sun_path, socket_path, sizeof(address.sun_path));
    if (connect(client->fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return TRUE;
    if (errno == EAGAIN)
        return qmp_client_fail(client, QMP_SILENT, NULL);
    if (errno == ENOENT)
        return qmp_client_fail(client, QMP_NO_SOCKET, NULL);
    if (errno == EACCES || errno == EPERM)
        return qmp_client_fail(client, QMP_DENIED, NULL);
    return qmp_client_fail(client, QMP_UNCONNECTED, g_strerror(errno));
}

/* The kernel has the process that listens at the socket, so no other process can pretend it. */
static gboolean client_check_process(QmpClient *client, int64_t pid)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    g_autofree char *detail = NULL;

    if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return qmp_client_fail(client, QMP_UNCONNECTED, g_strerror(errno));
    if (peer.pid == pid)
        return TRUE;
    detail = g_strdup_printf("%d", (int)peer.pid);
    return qmp_client_fail(client, QMP_OTHER_PROCESS, detail);
}

gboolean qmp_client_connect(QmpClient *client, const char *socket, int64_t pid)
{
    JsonObject *greeting;

    client->in = g_byte_array_new();
    client->parser = json_parser_new_immutable();
    if (!client_open(client, socket) || !client_check_process(client, pid))
        return FALSE;
    greeting = client_read_line(client, reply_until(client));
    if (!greeting)
        return FALSE;
    if (!qmp_object_member(greeting, "QMP"))
        return qmp_client_fail(client, QMP_MALFORMED, NULL);
    return qmp_client_command(client, "{\"execute\": \"qmp_capabilities\"}") != NULL;
}
