/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>

/* Deleted volumes that a pool keeps. */

/** Returns the deleted volumes in the pool's trash, CstTrashRow *, the oldest first. */
GPtrArray *cst_conn_trash_list(CstConn *conn, const CstPoolRef *pool, GError **error);
/**
 * Returns the number of the deleted volumes in the pool's trash, and their allocation, at a cost
 * that does not depend on their number.
 */
gboolean cst_conn_trash_totals(CstConn *conn, const CstPoolRef *pool, CstTrashTotals *ret_totals,
                               GError **error);
/**
 * Restores a deleted volume. @which is its id, or a name that only one deleted volume had.
 * @new_name NULL: its original name.
 */
CstVolRef *cst_conn_trash_restore(CstConn *conn, const CstPoolRef *pool, const char *which,
                                  const char *new_name, CstTask *task, GError **error);
/**
 * Removes deleted volumes for good: all of them, or @which, if they were deleted at least
 * @older_than seconds ago. *ret_bytes: the allocation of the removed volumes.
 */
gboolean cst_conn_trash_empty(CstConn *conn, const CstPoolRef *pool, const char *which,
                              uint64_t older_than, CstTask *task, guint *ret_count,
                              uint64_t *ret_bytes, GError **error);
