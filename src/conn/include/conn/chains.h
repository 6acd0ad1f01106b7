/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <conn/conn.h>
#include <model/chains.h>

/** Backing chains. All calls fail with NO_SUPPORT by a stock server. */

/**
 * Returns the backing chains of an active pool (CstPoolChain *), the deepest first. *ret_limits:
 * the limits in force. *ret_left: number of further chains, which exceed the reply. The caller
 * drops the array. NO_POOL, STATE.
 */
GPtrArray *cst_conn_pool_chains(CstConn *conn, const CstPoolRef *pool, CstChainLimits *ret_limits,
                                guint *ret_left, GError **error);
/**
 * Merges a run of layers into the volume. @is_plan: only returns what it would do. @task may be
 * NULL. The caller clears *ret.
 */
gboolean cst_conn_vol_consolidate(CstConn *conn, const CstVolRef *vol, const CstVolConsolidate *how,
                                  gboolean is_plan, CstTask *task, CstConsolidation *ret,
                                  GError **error);
