/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <server/server.h>
#include <service/service.h>

#include "loop.h"
#include "procedures.h"
#include "subuid.h"
#include "user.h"

/**
 * State that all threads of the server share. It is constant once the threads run, except for the
 * fields that are marked atomic or guarded by a lock.
 */
struct CstWireServer {
    CstService *service;
    CstWireOptions options;
    uid_t owner; /**< the daemon's user, trusted like root */
    guint subscription;
    Workers *workers[WORK_CLASSES];
    GThreadPool *streams; /**< runs stream jobs; has one extra thread for each job that hangs in
                               storage */
    GMutex streams_lock;  /**< guards the number of threads of @streams */
    Loop **loops;
    guint n_loops;
    guint next_loop;           /**< atomic */
    _Atomic uint64_t accepted; /**< connections so far */
    gint n_clients;            /**< atomic */
    gint n_guests;             /**< atomic; connections of untrusted users, included in n_clients */
    _Atomic gint64 scarce_at;  /**< when a connection was last refused; monotonic µs */

    GMutex users_lock;
    GHashTable *users;    /**< account -> User * */
    SubuidTable *subuids; /**< guarded by users_lock */

    const ClientHooks *client_hooks;
    CstProcedureIndex procedures;
};

/* Duration for which connections count as scarce after a refusal. */
#define SCARCE_US (10 * G_TIME_SPAN_SECOND)

/**
 * Returns whether a connection was refused within the last SCARCE_US, because a limit was reached.
 * During that time clients.c drops idle connections. From any thread.
 */
static inline gboolean server_is_scarce(const CstWireServer *server)
{
    return server->scarce_at && g_get_monotonic_time() - server->scarce_at < SCARCE_US;
}
