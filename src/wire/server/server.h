/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>
#include <wire/server.h>

#include "loop.h"
#include "procedures.h"

/** What all threads share; constant once the threads run, but for what says otherwise. */
struct CstWireServer {
    CstService *service;
    CstWireOptions options;
    guint subscription;
    GThreadPool *quick;   /**< calls that end soon unless the storage hangs */
    GThreadPool *slow;    /**< calls that may take as long as they like */
    GThreadPool *streams; /**< pieces of streams */
    Loop **loops;
    guint n_loops;
    guint next_loop; /**< atomic */
    gint n_clients;  /**< atomic */

    GMutex users_lock;
    GHashTable *users; /**< uid -> number of connections, of those who aren't trusted */

    const Procedure *remote[WIRE_PROC_LAST + 1];
    const Procedure *cistern[WIRE_CISTERN_LAST + 1];
};
