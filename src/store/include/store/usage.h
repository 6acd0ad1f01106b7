/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/uuid.h>
#include <model/usage.h>
#include <store/paths.h>

/**
 * The database DATA/usage.db: the history of the use of pools. Each sample is added to a point of
 * five minutes, one of an hour and one of a day, in one transaction. The number of points of a pool
 * is bounded, so the history of a pool has at most CST_USAGE_POINTS_MAX points, about 600 KiB.
 *
 * Points are keyed by the time of the host in UTC. Points after @now are hidden. They are removed
 * while they are the minority, because the clock was ahead; a clock that is behind removes no
 * points.
 *
 * A killed process loses no committed sample; a power cut may lose the latest samples. A handle
 * belongs to one thread; several handles and processes may use the database at a time. Errors: IO,
 * NO_SPACE.
 */
typedef struct CstUsageStore CstUsageStore;

/** Number of points that are kept for each step: a day, a month, ten years. */
#define CST_USAGE_FINE_KEPT   288
#define CST_USAGE_HOURLY_KEPT 744
#define CST_USAGE_DAILY_KEPT  3660
#define CST_USAGE_POINTS_MAX  (CST_USAGE_FINE_KEPT + CST_USAGE_HOURLY_KEPT + CST_USAGE_DAILY_KEPT)
/** Number of pools that have a history. The pool without samples for the longest time loses it. */
#define CST_USAGE_POOLS_MAX 1000

/** Opens the database, and creates it when it does not exist. The caller frees the handle. */
CstUsageStore *cst_usage_store_open(const CstPaths *paths, GError **error);
/** Like cst_usage_store_open(), but returns NULL without an error if there is no database. */
CstUsageStore *cst_usage_store_open_existing(const CstPaths *paths, GError **error);
/** NULL is accepted. */
void cst_usage_store_close(CstUsageStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstUsageStore, cst_usage_store_close)

/**
 * Sets *ret_due to whether the pool has no sample in the five minutes of @now. So a daemon and a
 * timer may both sample.
 */
gboolean cst_usage_store_is_due(CstUsageStore *store, const CstUuid *pool, int64_t now,
                                gboolean *ret_due, GError **error);
/** Adds a sample of the time sample->time; its peak is not used. */
gboolean cst_usage_store_add(CstUsageStore *store, const CstUuid *pool, const CstUsagePoint *sample,
                             GError **error);
/**
 * Returns the points (CstUsagePoint) of @step (CST_USAGE_FINE, …) that end after @since and begin
 * at @now at the latest, in ascending order. The caller drops the array.
 */
GArray *cst_usage_store_points(CstUsageStore *store, const CstUuid *pool, unsigned step,
                               int64_t since, int64_t now, GError **error);
