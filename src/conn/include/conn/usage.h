/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <conn/conn.h>
#include <model/growth.h>
#include <model/promise.h>
#include <model/usage.h>
#include <schedule/forecast.h>

/** The history of the use of pools, and their promise. All calls fail with NO_SUPPORT by a stock
 * server. */

/**
 * Returns the history of a pool from @since (seconds since 1970) on: CstUsagePoint in ascending
 * order. @step: CST_USAGE_FINE, _HOURLY or _DAILY. The caller drops the array. INVALID, NO_POOL.
 */
GArray *cst_conn_pool_usage(CstConn *conn, const CstPoolRef *pool, unsigned step, int64_t since,
                            GError **error);
/** Returns the forecasts of a pool by CstUsageSpace. NO_POOL. */
gboolean cst_conn_pool_usage_forecast(CstConn *conn, const CstPoolRef *pool,
                                      CstForecast ret_spaces[CST_USAGE_SPACE_LAST], GError **error);
/** Adds a sample of each active pool that is due. *ret_count: pools with a new sample. */
gboolean cst_conn_pool_usage_sample(CstConn *conn, guint *ret_count, GError **error);
/** Returns the promise of an active pool, and its limits. NO_POOL, STATE. */
gboolean cst_conn_pool_promise(CstConn *conn, const CstPoolRef *pool, CstPoolPromise *ret_promise,
                               GError **error);
/**
 * Returns the spaces of a pool that can be extended: CstGrowth, the group first, without limits and
 * units. The array is empty if the pool is not active. *ret_problem: why a space cannot be
 * extended, or NULL; the caller frees it. NO_POOL; NO_SUPPORT if the
 * type of the pool has no such spaces.
 */
GPtrArray *cst_conn_pool_growths(CstConn *conn, const CstPoolRef *pool, char **ret_problem,
                                 GError **error);
