/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/listing.h>
#include <service/pools.h>

/**
 * Deleted volumes that a pool keeps (<cistern:trash days=""/> in its definition). They are no
 * volumes to anything else here; their space is still taken.
 */

/** Returns CstTrashRow *, the oldest first. Without sizes while the pool is not active. */
GPtrArray *cst_pool_trash_list(CstPool *pool, GError **error);
/**
 * Makes the deleted volume @which (its id, or a name that only one had) a volume again, with its
 * snapshots and what was declared of it, called @new_name (NULL: as before). *ret_name is the
 * caller's. NO_VOL; VOL_EXISTS when the name is taken; INVALID when several had the name.
 */
gboolean cst_pool_trash_restore(CstPool *pool, const char *which, const char *new_name,
                                CstTask *task, char **ret_name, GError **error);
/**
 * Removes deleted volumes for good: @which (NULL: all), of those deleted @older_than seconds ago or
 * more. *ret_count says how many, *ret_bytes how much was allocated to them, also on failure: one
 * that can't be removed keeps none of the others, and its error is the first.
 */
gboolean cst_pool_trash_empty(CstPool *pool, const char *which, int64_t older_than, CstTask *task,
                              guint *ret_count, uint64_t *ret_bytes, GError **error);
