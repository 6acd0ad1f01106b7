/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All clients of a loop. After each round of the loop it handles pending packets (backlog), flushes
 * the unsent bytes (unsent) and frees dead clients.
 *
 * Once a second, while a timeout is pending, it drops three kinds of clients: clients that exceed
 * the time for opening or closing; clients that hold memory without progress while their user has
 * used up the budget; and, when connections are scarce, idle clients. It pings a silent client that
 * requested keepalive.
 */
#include "client.h"

#include <base/test_point.h>

#include "server.h"

static void client_send_ping(Client *client)
{
    static const CstWireHeader header = {.program = WIRE_KEEPALIVE_PROGRAM,
                                         .version = WIRE_VERSION,
                                         .procedure = WIRE_KEEPALIVE_PING,
                                         .type = WIRE_MESSAGE};

    client->pings++;
    client_send(client, &header, NULL, NULL);
}

static gboolean is_longer(gint64 span, guint seconds)
{
    return span > (gint64)seconds * G_USEC_PER_SEC;
}

/*
 * Returns whether the client holds unsent or unhandled bytes without progress while its user has
 * used up the budget.
 */
static gboolean is_stalled(const Client *client, gint64 now)
{
    return (client->user->starved || user_is_over(client->user)) &&
           (client->out.bytes > 0 || (client->in && client->in->len > CLIENT_READ_MIN)) &&
           is_longer(now - client->moved, client->loop->server->options.stall_seconds);
}

/*
 * Returns whether the connection is idle, so that dropping it does no harm. A client with callbacks
 * is not idle, because it is silent by design.
 */
static gboolean client_is_idle(const Client *client, gint64 now)
{
    return !client->trusted && client->read_only && client->in_flight == 0 && !client->callbacks &&
           !client->keepalive && !client_has_streams(client) &&
           is_longer(now - client->heard, client->loop->server->options.idle_seconds);
}

/* Returns the reason to end the connection now, or NULL. */
static const char *reason_to_drop(const Client *client, gint64 now)
{
    if (client->state != CLIENT_OPEN)
        /* client_close() resets born, so this bounds the closing as well. */
        return is_longer(now - client->born, client->loop->server->options.handshake_seconds)
                   ? "it took too long to open or to close"
                   : NULL;
    if (is_stalled(client, now))
        return "it does not read, and its user has used up the memory that he may";
    if (server_is_scarce(client->loop->server) && client_is_idle(client, now))
        return "it is idle, and connections are scarce";
    return NULL;
}

static void client_tick(Client *client, gint64 now)
{
    const CstWireOptions *options = &client->loop->server->options;
    gint64 interval = (gint64)options->keepalive_seconds * G_USEC_PER_SEC;
    const char *reason = reason_to_drop(client, now);

    if (reason) {
        client_drop(client, reason);
        return;
    }
    /*
     * Also resume before the connection is open: its first call may have arrived while the user was
     * over the budget.
     */
    if (client->starved)
        client_resume(client);
    if (client->state != CLIENT_OPEN)
        return;
    client->loop->server->client_hooks->tick(client);
    if (!client->keepalive || interval == 0)
        return;
    /* The pong may be in a socket that this server does not read, so the client is not silent. */
    if (!client_may_read(client))
        client->heard = now;
    if (now - client->heard < interval * (client->pings + 1))
        return;
    if (client->pings >= options->keepalive_count)
        client_drop(client, "it does not answer keepalive pings");
    else
        client_send_ping(client);
}

/* --- all clients of a loop ------------------------------------------------------------------- */

#define TICK_US G_USEC_PER_SEC

static void clients_run_turns(GPtrArray *list, void (*func)(Client *client))
{
    guint n = list->len;

    /*
     * Clients that the functions add are served in the next round, so that one client cannot keep
     * the loop busy.
     */
    for (guint i = 0; i < n; i++) {
        Client *client = g_ptr_array_index(list, i);

        func(client);
        client_unref(client);
    }
    g_ptr_array_remove_range(list, 0, n);
}

static void clients_tick(Loop *loop)
{
    gint64 now = g_get_monotonic_time();

    if (!loop_needs_clock(loop) || now - loop->ticked < TICK_US)
        return;
    loop->ticked = now;
    for (GList *link = loop->clients.head, *next; link; link = next) {
        next = link->next;
        client_tick(link->data, now);
    }
    CST_TEST_POINT("clients.tick.done");
    loop->server->client_hooks->may_accept(loop);
}

void clients_round(Loop *loop)
{
    clients_run_turns(loop->backlog, client_continue);
    clients_run_turns(loop->unsent, client_flush);
    clients_tick(loop);
    /* Free dead clients only at the end of the round, because its events may refer to them. */
    while (loop->dead->len)
        client_unref(g_ptr_array_steal_index_fast(loop->dead, loop->dead->len - 1));
}

void clients_drop(Loop *loop, const char *why)
{
    for (GList *link = loop->clients.head, *next; link; link = next) {
        next = link->next;
        client_drop(link->data, why);
    }
}
