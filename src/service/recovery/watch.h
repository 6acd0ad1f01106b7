/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/file.h>
#include <pool/pool.h>
#include <service/pools.h>

/** A watched pool. Used by the worker while it is busy, else by the monitor's thread. */
typedef struct {
    CstPool *pool;       /* referenced */
    CstPoolState *state; /* referenced */
    int fd;              /* closed by cst_pool_state_watch_close() */
    GHashTable *changed; /* reported names */
    gboolean all;        /* any volume may have changed */
    gint64 unnamed_due;  /* monotonic: scan for reports without a name; 0: no such reports */
    gint64 scan_us;      /* duration of the last whole scan in microseconds */
    gboolean lost;       /* the storage was missing; a new watch is needed when it returns */
    guint mounts;        /* number of mount changes up to which the storage was checked */
    gint64 due;          /* monotonic; 0: no work is due */
    gint64 space_due;    /* monotonic: next check of limited space, if the pool has any */
    gint64 trash_due;    /* monotonic: next check of deleted volumes */
    gint64 health_due;   /* monotonic: next health query; G_MAXINT64: health is not reported */

    /* Guarded by the monitor's lock: */
    gboolean busy;   /* a worker has the watch */
    gboolean broken; /* the storage does not answer, or reports an error */
    gboolean back;   /* the storage works again, and the pool has to be scanned */
} Watch;

/**
 * Watches an active pool. Returns NULL if its type needs no watch. @mounts: the present number of
 * mount changes.
 */
Watch *watch_new(CstPool *pool, CstPoolState *state, guint mounts);
void watch_free(Watch *watch);
/** Returns whether the pool is still active, and was not restarted since the watch was created. */
gboolean watch_is_alive(const Watch *watch);
/**
 * Returns the monotonic time when work is due. Returns G_MAXINT64 if no work is due until a change
 * is reported.
 */
gint64 watch_due(const Watch *watch, guint mounts);
/** Does the due work. May block as long as the storage hangs. */
void watch_check(Watch *watch, guint mounts);
/**
 * Queries the liveness of the storage. Returns TRUE if it has stopped working. Requires the
 * monitor's lock.
 */
gboolean watch_ask(Watch *watch);
