/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * The promises of the snapshots that a pool's technology keeps, by volume, in memory. They are read
 * when a limit or a query needs them. Afterwards only the volumes that changed are listed.
 */

KeptSnapshots *kept_snapshots_new(void);
void kept_snapshots_free(KeptSnapshots *kept);

/** Has the snapshots of @name listed again before the next sum. Acquires the pool's lock. */
void kept_snapshots_changed(CstPool *pool, const char *name);
/** Forgets the snapshots of a volume that was removed. Requires the pool's lock. */
void kept_snapshots_remove(KeptSnapshots *kept, const char *name);
/**
 * Has the volumes with snapshots looked up again, because another program may have created some.
 * Requires the pool's lock.
 */
void kept_snapshots_outdate(KeptSnapshots *kept);
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
/** Returns the known promise of the snapshots of @name. Requires the pool's lock. */
uint64_t kept_snapshots_of(const KeptSnapshots *kept, const char *name);
/** Lists the snapshots that the technology keeps of @name, and adds their promises to *bytes. */
gboolean kept_snapshots_add(CstPoolState *state, const char *name, uint64_t *bytes, GError **error);
