/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/listing.h>
#include <service/pools.h>

/**
 * Deleted volumes that a pool keeps (<cistern:trash days=""/> in its definition). Other calls do
 * not find them. Their space stays allocated.
 */

/** Returns CstTrashRow *, oldest first. Sizes are missing while the pool is not active. */
GPtrArray *cst_pool_trash_list(CstPool *pool, GError **error);
/**
 * Returns a part of the same rows, CstTrashRow *, in byte order of their names on the storage. It
 * reads at most @limit (> 0) records whose names are after @after (NULL: from the beginning). The
 * caller frees *ret_next, which is @after of the next page; NULL: this is the last page. A page
 * before the last one may be empty, because a record without a volume has no row.
 */
GPtrArray *cst_pool_trash_page(CstPool *pool, const char *after, guint limit, char **ret_next,
                               GError **error);
/**
 * Returns the number and the allocation of the volumes that cst_pool_trash_list() returns. After
 * the first call, the cost depends on the changes since the last call only. The allocation of a
 * volume is that of its first query, until the pool is refreshed or stopped. @task (may be NULL)
 * cancels.
 */
gboolean cst_pool_trash_totals(CstPool *pool, CstTask *task, CstTrashTotals *ret_totals,
                               GError **error);
/**
 * Restores the deleted volume @which with its snapshots and declarations. @which: its id, or an
 * unambiguous name. @new_name: the name of the restored volume; NULL: its former name. The caller
 * frees *ret_name. Errors: NO_VOL; VOL_EXISTS when the name is in use; INVALID when several deleted
 * volumes had the name.
 */
gboolean cst_pool_trash_restore(CstPool *pool, const char *which, const char *new_name,
                                CstTask *task, char **ret_name, GError **error);
/**
 * Removes deleted volumes permanently: @which (NULL: all), if it was deleted at least @older_than
 * seconds ago. *ret_count: number of removed volumes; *ret_bytes: their allocation. Both are set on
 * failure, too. A volume that cannot be removed does not stop the removal of further volumes; the
 * call returns the first error.
 */
gboolean cst_pool_trash_empty(CstPool *pool, const char *which, int64_t older_than, CstTask *task,
                              guint *ret_count, uint64_t *ret_bytes, GError **error);
