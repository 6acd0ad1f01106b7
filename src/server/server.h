/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <server/server.h>
#include <service/service.h>

#include "loop.h"
#include "procedures.h"
#include "subuid.h"
#include "user.h"

/**
 * State that all threads of the server share. Constant once the threads run, except for the fields
 * that are marked atomic or guarded by a lock.
 */
struct CstWireServer {
    CstService *service;
    CstWireOptions options;
    uid_t owner; /**< the daemon's user, who is trusted as root is */
    guint subscription;
    Workers *workers[WORK_CLASSES];
    GThreadPool *streams; /**< pieces of streams; a thread more for each that hangs in storage */
    GMutex streams_lock;  /**< guards how many */
    Loop **loops;
    guint n_loops;
    guint next_loop;           /**< atomic */
    _Atomic uint64_t accepted; /**< connections so far */
    gint n_clients;            /**< atomic */
    gint n_guests;             /**< atomic; of these, connections of users who are not trusted */
    _Atomic gint64 scarce_at;  /**< when a connection was refused last; monotonic µs */

    GMutex users_lock;
    GHashTable *users;    /**< account -> User * */
    SubuidTable *subuids; /**< guarded by users_lock */

    const ClientHooks *client_hooks;
    CstProcedureIndex procedures;
};

/* How long connections count as scarce after one was refused. */
#define SCARCE_US (10 * G_TIME_SPAN_SECOND)

/**
 * Whether a connection was refused within SCARCE_US for want of room. While it is so, idle
 * connections are dropped (clients.c). From any thread.
 */
static inline gboolean server_is_scarce(const CstWireServer *server)
{
    return server->scarce_at && g_get_monotonic_time() - server->scarce_at < SCARCE_US;
}
