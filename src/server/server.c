/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Assembles the server. It makes the worker pools and the I/O threads (loops). It sets the hooks
 * through which the lower layers (loop.c, client.c) call the upper ones (dispatch.c, stream.c,
 * event.c), so that lower layers never include headers of upper ones.
 *
 * Threads: each loop owns its clients, its streams and their data without a lock. Workers and the
 * service's threads reach a loop only through its inbox (loop_post()). Shared state is in
 * CstWireServer: its counters are atomic, and its table of users has a lock. The only field of a
 * loop that other threads read is n_callbacks.
 */
#include "server.h"

#include "event.h"
#include "listener.h"
#include "procedures.h"
#include "stream.h"

void cst_wire_options_init(CstWireOptions *ret_options)
{
    *ret_options = (CstWireOptions){
        .io_threads = 1,
        /* workers, max_clients and the keepalive numbers are libvirtd's defaults. */
        .workers = 20,
        .max_threads = 1200, /* also of a thousand copies that wait for their turn */
        .max_user_threads = 40,
        .max_wait_seconds = 60,
        .stream_workers = 16,
        .max_clients = 5000,
        .max_user_clients = 500,
        .idle_seconds = 300,
        .max_user_bytes = 64 * 1024 * 1024,
        .stall_seconds = 10,
        .max_requests = 64,
        .max_running = 10,
        .max_streams = 32,
        .max_events = 1024 * 1024,
        .handshake_seconds = 60,
        .keepalive_seconds = 5,
        .keepalive_count = 5,
    };
}

static gboolean start_workers(CstWireServer *server, GError **error)
{
    static const WorkerFuncs funcs = {.run = dispatch_run, .done = dispatch_done};
    const CstWireOptions *options = &server->options;
    const WorkerLimits limits = {.running = MAX(options->workers, 1),
                                 .lane_running = MAX(options->max_running, 1),
                                 .user_threads = MAX(options->max_user_threads, 1),
                                 .threads = MAX(options->max_threads, 1)};

    for (int class = 0; class < WORK_CLASSES; class ++) {
        server->workers[class] = workers_new(class, &limits, &funcs, error);
        if (!server->workers[class])
            return FALSE;
    }
    return TRUE;
}

/* --- hooks of loops and clients -------------------------------------------------------------- */

static void stop_loop(Loop *loop)
{
    listeners_close(loop);
    dispatch_cancel(loop);
    clients_drop(loop, "the daemon stops");
}

static const LoopHooks loop_hooks = {.round = clients_round, .stop = stop_loop};

static void tick_client(Client *client)
{
    streams_tick(client);
    streams_continue(client);
}

static void end_client(Client *client)
{
    dispatch_abandon(client);
    callbacks_clear(client);
    streams_abandon(client);
}

static void accept_again(Loop *loop)
{
    if (!loop->stopping)
        listeners_resume(loop);
}

static const ClientHooks client_hooks = {.packet = dispatch_packet,
                                         .ahead = dispatch_pings_ahead,
                                         .room = streams_continue,
                                         .tick = tick_client,
                                         .gone = end_client,
                                         .may_accept = accept_again};

/* --- starting and stopping ------------------------------------------------------------------- */

static gboolean server_start(CstWireServer *server, GError **error)
{
    if (!start_workers(server, error))
        return FALSE;
    server->streams = g_thread_pool_new(stream_work, server,
                                        (int)MAX(server->options.stream_workers, 1), FALSE, error);
    if (!server->streams)
        return FALSE;
    for (guint i = 0; i < MAX(server->options.io_threads, 1); i++) {
        server->loops[i] = loop_new(server, &loop_hooks, error);
        if (!server->loops[i])
            return FALSE;
        /* Count each loop, because cst_wire_server_free() frees the loops made before a failure. */
        server->n_loops++;
    }
    /* Subscribe last, because event_post() posts to all loops. */
    server->subscription = cst_service_subscribe(server->service, event_post, server);
    return TRUE;
}

CstWireServer *cst_wire_server_new(CstService *service, const CstWireOptions *options,
                                   GError **error)
{
    CstWireServer *server = g_new0(CstWireServer, 1);

    server->service = service;
    server->options = *options;
    server->owner = geteuid();
    server->client_hooks = &client_hooks;
    server->loops = g_new0(Loop *, MAX(options->io_threads, 1));
    g_mutex_init(&server->users_lock);
    g_mutex_init(&server->streams_lock);
    server->users = g_hash_table_new(NULL, NULL);
    server->subuids = subuid_table_new(options->etc_dir, server->owner);
    server->options.etc_dir = NULL; /* borrowed until subuid_table_new() has copied it */
    dispatch_index(&server->procedures);
    if (!server_start(server, error))
        g_clear_pointer(&server, cst_wire_server_free);
    return server;
}

guint cst_wire_server_clients(CstWireServer *server)
{
    return (guint)g_atomic_int_get(&server->n_clients);
}

void cst_wire_server_free(CstWireServer *server)
{
    if (!server)
        return;
    /*
     * The order matters. Unsubscribe first, so that no event is posted to a freed loop. The first
     * loop is freed before the other loops, because its listeners pass accepted sockets to them.
     * The workers are freed last, because a loop ends only after workers have returned its calls.
     */
    if (server->subscription)
        cst_service_unsubscribe(server->service, server->subscription);
    for (guint i = 0; i < server->n_loops; i++)
        loop_free(server->loops[i]);
    for (int class = 0; class < WORK_CLASSES; class ++)
        workers_free(server->workers[class]);
    if (server->streams)
        g_thread_pool_free(server->streams, FALSE, TRUE);
    g_hash_table_unref(server->users);
    subuid_table_free(server->subuids);
    g_mutex_clear(&server->users_lock);
    g_mutex_clear(&server->streams_lock);
    g_free(server->loops);
    g_free(server);
}
