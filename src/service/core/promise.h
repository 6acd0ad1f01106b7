/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * The space that a pool has promised to its volumes, and the limits of it. An operation that lets a
 * volume grow reserves its promise before its first change, and ends the reservation when the table
 * has the new record, or when the operation has failed.
 */

/** A reservation for one volume, initially zero. The name must be claimed for writing. */
typedef struct {
    CstPool *pool; /* a reference; NULL: no reservation */
    char *name;
    gboolean locked; /* against other processes */
    uint64_t bytes;  /* promise of the volume and its snapshots when the operation has succeeded */
} PoolPromise;

/** Parameters of a reservation. */
typedef struct {
    const char *name;
    uint64_t more;  /* bytes by which the promise grows; for a new volume its whole promise */
    gboolean added; /* the volume is new in this pool */
} PromiseRequest;

/**
 * Reserves the promise, or extends the one that @promise has already. Without a limit of the pool
 * it only counts. NO_SPACE, naming the limit and the next step, if a limit does not permit it.
 * Does storage I/O if the pool has limits. Call pool_promise_end() in any case.
 */
gboolean pool_promise_reserve(PoolPromise *promise, CstPool *pool, CstPoolState *state,
                              const PromiseRequest *request, GError **error);
/** Ends the reservation. No effect without a reservation. */
void pool_promise_end(PoolPromise *promise);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PoolPromise, pool_promise_end)

/** Returns the promise that the table has, without storage I/O. Requires the pool's lock. */
uint64_t pool_promise_known(CstPool *pool);
/**
 * Returns the promise of @volume, which may be in the trash, and of the snapshots that the pool's
 * technology keeps of it. Does storage I/O.
 */
gboolean pool_promise_of(CstPoolState *state, const CstVolume *volume, uint64_t *ret_bytes,
                         GError **error);
