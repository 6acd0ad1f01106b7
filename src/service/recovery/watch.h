/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/file.h>
#include <pool/pool.h>
#include <service/pools.h>

/** One pool that is watched. Used by the worker while it is busy, else by the monitor's thread. */
typedef struct {
    CstPool *pool;       /* referenced */
    CstPoolState *state; /* referenced */
    int fd;              /* closed by cst_pool_state_watch_close() */
    GHashTable *changed; /* names */
    gboolean all;        /* anything may have changed */
    gint64 unnamed_due;  /* monotonic: when to scan for what was reported without a name; 0: none */
    gint64 scan_us;      /* how long the last scan of all took */
    gboolean lost;       /* the storage was not there: a new watch is needed when it is back */
    guint mounts;        /* changes of mounts up to which the storage was checked */
    gint64 due;          /* monotonic; 0: nothing to do */
    gint64 space_due;    /* monotonic: when to check limited space, if there is any */
    gint64 trash_due;    /* monotonic: when to look at deleted volumes */
    gint64 health_due;   /* monotonic: when to ask how the storage is; G_MAXINT64: it can't tell */

    /* Guarded by the monitor's lock. */
    gboolean busy;   /* a worker has it */
    gboolean broken; /* the storage does not answer, or with an error */
    gboolean back;   /* it works again, and the pool is to be scanned */
} Watch;

/**
 * Watches an active pool; NULL when its type has nothing to watch. @mounts: the changes of mounts
 * that there were so far.
 */
Watch *watch_new(CstPool *pool, CstPoolState *state, guint mounts);
void watch_free(Watch *watch);
/** Whether the pool is still active, and was not stopped and started since the watch was made. */
gboolean watch_is_alive(const Watch *watch);
/** When there is something to do, monotonic; G_MAXINT64: not before something changes. */
gint64 watch_due(const Watch *watch, guint mounts);
/** Does what is due, which may take as long as the storage hangs. */
void watch_check(Watch *watch, guint mounts);
/** Asks whether the storage works. With the monitor's lock. TRUE: it has stopped working. */
gboolean watch_ask(Watch *watch);
