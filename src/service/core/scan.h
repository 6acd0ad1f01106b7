/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/** Scans the storage and replaces the table; what changes meanwhile through us is kept. */
gboolean pool_scan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error);
/** The same for an active pool: notes what is wrong with it, and has it recovered. */
gboolean pool_rescan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error);
/** Makes sure that the volumes are known: scans when nobody has yet. */
gboolean pool_scan_if_new(CstPool *pool, CstPoolState *state, GError **error);
/** Asks the backend for capacity, allocation and available. */
gboolean pool_usage_update(CstPool *pool, CstPoolState *state, GError **error);

/**
 * Scans one name and brings the table up to date; *ret_volume: a new reference, or NULL when there
 * is no such volume.
 */
gboolean pool_scan_volume(CstPool *pool, CstPoolState *state, const char *name,
                          CstVolume **ret_volume, GError **error);
/** The same; *ret_changed: the table did not know it like this. */
gboolean pool_scan_volume_changed(CstPool *pool, CstPoolState *state, const char *name,
                                  CstVolume **ret_volume, gboolean *ret_changed, GError **error);
/**
 * Scans @name and the pool's usage after a change through us, which is done whatever comes of the
 * scan. When it fails, the volume is scanned again before anybody is shown it or a listing.
 */
void pool_rescan_volume(CstPool *pool, CstPoolState *state, const char *name);

/** A new reference to the volume as it is known, or scanned when it isn't; NO_VOL: there is none.
 */
CstVolume *pool_volume(CstPool *pool, CstPoolState *state, const char *name, GError **error);
/** As it is on the storage now; NO_VOL when there is none. */
CstVolume *pool_volume_now(CstPool *pool, CstPoolState *state, const char *name, GError **error);
