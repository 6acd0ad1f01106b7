/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Scans the whole storage and replaces the table. Changes by this service during the scan are kept.
 * Waits for a running scan; BUSY if that takes too long. @task cancels (NULL: not cancellable). On
 * failure the table is unchanged.
 */
gboolean pool_scan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error);
/**
 * Scans an active pool, sets or clears its problem, and starts the recovery of the work of dead
 * processes.
 */
gboolean pool_rescan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error);
/** Scans the pool if its volumes are not known yet. Else rescans the stale names. */
gboolean pool_scan_if_new(CstPool *pool, CstPoolState *state, GError **error);
/**
 * Scans the pool if its last scan is older than a second, because no watch reports files that grow
 * while a guest writes. With like_libvirt, the last refresh determines the sizes. A pool without
 * its storage is left to the monitor.
 */
gboolean pool_rescan_aged(CstPool *pool, CstPoolState *state, GError **error);
/**
 * Updates the pool's capacity, allocation and available space from the backend. Warns about space
 * that fills up (space.h).
 */
gboolean pool_usage_update(CstPool *pool, CstPoolState *state, GError **error);
/**
 * Returns the monotonic time when an estimated usage has to be updated. Returns 0 if it is not
 * estimated.
 */
gint64 pool_usage_due(CstPool *pool);

/**
 * Scans one name and updates the table. *ret_volume is a new reference, or NULL if the volume does
 * not exist. Removes the name from the deferred and stale names.
 */
gboolean pool_scan_volume(CstPool *pool, CstPoolState *state, const char *name,
                          CstVolume **ret_volume, GError **error);
/**
 * Scans @name, because the table may be outdated. Fails with VOL_EXISTS if the storage has a volume
 * of that name.
 */
gboolean pool_check_free(CstPool *pool, CstPoolState *state, const char *name, GError **error);
/** Like pool_scan_volume(). *ret_changed: the volume differs from its record in the table. */
gboolean pool_scan_volume_changed(CstPool *pool, CstPoolState *state, const char *name,
                                  CstVolume **ret_volume, gboolean *ret_changed, GError **error);
/**
 * Rescans @name and the pool's usage after a change by this service. A failure is logged and makes
 * the name stale: it is scanned again before it is shown or listed.
 */
void pool_rescan_volume(CstPool *pool, CstPoolState *state, const char *name);

/**
 * Returns a new reference to the record in the table, or scans the volume if it has no record. Also
 * returns a volume that is being created. Returns NULL with NO_VOL if the volume does not exist.
 */
CstVolume *pool_volume(CstPool *pool, CstPoolState *state, const char *name, GError **error);
/**
 * Scans the volume and returns a new reference to its current record. Returns NULL with NO_VOL if
 * it does not exist.
 */
CstVolume *pool_volume_now(CstPool *pool, CstPoolState *state, const char *name, GError **error);
