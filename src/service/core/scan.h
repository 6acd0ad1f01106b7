/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Scans the whole storage and replaces the table; what changes through us meanwhile is kept. Waits
 * for a scan under way: BUSY when that takes too long. CANCELLED by @task (NULL: nobody). On
 * failure the table is unchanged.
 */
gboolean pool_scan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error);
/**
 * Does the same for an active pool, sets or clears its problem, and starts the recovery of what
 * dead processes left.
 */
gboolean pool_rescan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error);
/** Scans when the volumes are not known yet, and those names that are stale. */
gboolean pool_scan_if_new(CstPool *pool, CstPoolState *state, GError **error);
/**
 * Updates the pool's capacity, allocation and available space from the backend, and warns of space
 * that fills up (space.h).
 */
gboolean pool_usage_update(CstPool *pool, CstPoolState *state, GError **error);
/** When the usage has to be updated, as it is estimated, in monotonic time; 0: it isn't. */
gint64 pool_usage_due(CstPool *pool);

/**
 * Scans one name and updates the table; *ret_volume is a new reference, or NULL when there is no
 * such volume. Takes the name off the lists of deferred and stale names.
 */
gboolean pool_scan_volume(CstPool *pool, CstPoolState *state, const char *name,
                          CstVolume **ret_volume, GError **error);
/** VOL_EXISTS when the storage has a volume of that name; the table may be outdated. */
gboolean pool_check_free(CstPool *pool, CstPoolState *state, const char *name, GError **error);
/** Scans likewise; *ret_changed: the volume differs from what the table had. */
gboolean pool_scan_volume_changed(CstPool *pool, CstPoolState *state, const char *name,
                                  CstVolume **ret_volume, gboolean *ret_changed, GError **error);
/**
 * Scans @name and the pool's usage after a change through us, which is done whatever comes of the
 * scan. A failure is logged and makes the name stale: it is scanned again before it is shown or
 * listed.
 */
void pool_rescan_volume(CstPool *pool, CstPoolState *state, const char *name);

/**
 * Returns a new reference to the volume as the table has it, scanning when it doesn't; NULL with
 * NO_VOL when there is none. Also returns a volume that is being created.
 */
CstVolume *pool_volume(CstPool *pool, CstPoolState *state, const char *name, GError **error);
/** Returns a new reference to the volume as it is on the storage now; NULL with NO_VOL. */
CstVolume *pool_volume_now(CstPool *pool, CstPoolState *state, const char *name, GError **error);
