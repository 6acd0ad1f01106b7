/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kept_table.h"
#include "pool.h"

/**
 * The promises of the snapshots that a pool's technology keeps, by volume, in memory. They are read
 * when a limit or a query needs them. Afterwards only the volumes that changed are listed.
 */

/** Has the snapshots of @name listed again before the next sum. Acquires the pool's lock. */
void kept_snapshots_changed(CstPool *pool, const char *name);
/** Forgets everything, after a stop or for a refresh. Acquires the pool's lock. */
void kept_snapshots_forget(CstPool *pool);

/**
 * Lists the snapshots of all volumes of which they are unknown. *ret_promised: the sum of all
 * promises, with the pool's lock held on success. Fails without the lock, with the error of the
 * storage, or STATE if the pool was stopped. Does storage I/O.
 */
gboolean kept_snapshots_lock(CstPool *pool, CstPoolState *state, uint64_t *ret_promised,
                             GError **error);
/** Returns the sum of the known promises. Requires the pool's lock. */
uint64_t kept_snapshots_known(const CstPool *pool);
/** Lists the snapshots that the technology keeps of @name, and adds their promises to *bytes. */
gboolean kept_snapshots_add(CstPoolState *state, const char *name, uint64_t *bytes, GError **error);
