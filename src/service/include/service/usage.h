/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/usage.h>
#include <schedule/forecast.h>
#include <service/pools.h>

/** The history of the use of pools (store/usage.h), and forecasts from it. Any thread. */

/** Forecasts of a pool, by CstUsageSpace. */
typedef struct {
    CstForecast spaces[CST_USAGE_SPACE_LAST];
} CstUsageForecast;

/**
 * Adds a sample of each active pool that has none in the present five minutes. A pool without its
 * storage has no sample. A daemon samples the numbers that it holds, and queries the space of local
 * file systems only; an embedded process queries the storage. A failure to store the sample of one
 * pool does not end the call: it is returned after the last pool. @task cancels between two pools;
 * NULL: not cancellable. *ret_count: stored samples; may be NULL.
 */
gboolean cst_service_usage_sample(CstService *service, CstTask *task, guint *ret_count,
                                  GError **error);
/**
 * Returns the history of a pool as CstUsagePoint; see cst_usage_store_points(). The array is empty
 * if the pool has no history. INVALID if @step is not a step of the history.
 */
GArray *cst_pool_usage(CstPool *pool, unsigned step, int64_t since, GError **error);
/** Computes the forecasts of a pool from its daily history. */
gboolean cst_pool_usage_forecast(CstPool *pool, CstUsageForecast *ret_forecast, GError **error);
