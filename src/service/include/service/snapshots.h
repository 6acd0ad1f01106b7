/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>
#include <base/task.h>
#include <model/snapshot.h>
#include <service/pools.h>

/**
 * Snapshots of volumes, one set of calls over whatever keeps them: the image itself where its
 * format can (qcow2), else the pool's technology. Where neither can, every call is UNSUPPORTED and
 * names what would work. A snapshot is found by its name; NOT_FOUND and EXISTS name it.
 *
 * Reverting and deleting are refused (BUSY, naming the holder) while somebody has the volume open.
 */

/**
 * Returns the volume's snapshots as CstSnapshot *, oldest first, freed with the array. Claims the
 * volume, as all of these calls do; @task limits and ends the wait.
 */
GPtrArray *cst_vol_snapshots(CstPool *pool, const char *volume, CstTask *task, GError **error);

/**
 * Tells which parts of what the guest of the volume sees may differ between the snapshot @since and
 * the snapshot @until (NULL: now), as whoever keeps the snapshots can tell it without reading: see
 * base/changed.h. UNSUPPORTED where it can't be told: then both are to be read and compared. BUSY
 * when it is about now, and the image is written to.
 */
gboolean cst_vol_changed(CstPool *pool, const char *volume, const char *since, const char *until,
                         CstTask *task, CstChanged *changed, GError **error);

/**
 * Takes a snapshot of what the volume holds now. @limit: bytes to set aside for changes, where the
 * technology wants that; 0: its default.
 */
gboolean cst_vol_snapshot_create(CstPool *pool, const char *volume, const char *name,
                                 uint64_t limit, CstTask *task, GError **error);
/**
 * Takes a snapshot @name of each of @volumes (of const char *), in one step where the pool's
 * technology can do that, else one after the other. All or none, also after a kill. EXISTS when one
 * has a snapshot of that name already; INVALID for a set that is empty or names one twice.
 */
gboolean cst_vol_snapshot_create_set(CstPool *pool, const GPtrArray *volumes, const char *name,
                                     CstTask *task, CstSnapshotSet *ret_set, GError **error);
/**
 * Returns the names of the snapshots that would be lost by reverting to @name: of char, freed with
 * the array. Empty where the technology keeps all.
 */
GPtrArray *cst_vol_snapshot_revert_loses(CstPool *pool, const char *volume, const char *name,
                                         CstTask *task, GError **error);
/**
 * Makes the volume hold again what it held at the snapshot, which stays. What was written since is
 * lost. @agreed: snapshots that may be lost, too (NULL-terminated; NULL: none); BUSY, naming them,
 * when there are others.
 */
gboolean cst_vol_snapshot_revert(CstPool *pool, const char *volume, const char *name,
                                 const char *const *agreed, CstTask *task, GError **error);
/** Deletes the snapshot; the volume keeps what it holds. */
gboolean cst_vol_snapshot_delete(CstPool *pool, const char *volume, const char *name, CstTask *task,
                                 GError **error);
/** Renames the snapshot; EXISTS when the volume has one of that name. */
gboolean cst_vol_snapshot_rename(CstPool *pool, const char *volume, const char *name,
                                 const char *new_name, CstTask *task, GError **error);
/** Makes a new volume of the same pool and format with the content and capacity of the snapshot. */
gboolean cst_vol_snapshot_clone(CstPool *pool, const char *volume, const char *name,
                                const char *new_volume, CstTask *task, GError **error);
