/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>
#include <base/task.h>
#include <model/snapshot.h>
#include <service/pools.h>

/**
 * Snapshots of volumes, by the same calls for all implementations. The image keeps them if its
 * format can (qcow2), else the pool's technology. If neither supports snapshots, every call fails
 * with UNSUPPORTED and names an alternative. Snapshots are identified by name; NOT_FOUND and EXISTS
 * name them. Reverting and deleting fail with BUSY, naming the holder, while a process has the
 * volume open.
 */

/**
 * Returns the snapshots of the volume as CstSnapshot *, oldest first. The array owns them. Claims
 * the volume, as all of these calls do. @task limits and cancels the wait.
 */
GPtrArray *cst_vol_snapshots(CstPool *pool, const char *volume, CstTask *task, GError **error);

/** Properties of cst_pool_vols_properties(), as bits. */
typedef enum {
    CST_VOL_PROPERTY_BACKING = 1 << 0,
    CST_VOL_PROPERTY_SNAPSHOTS = 1 << 1,
    CST_VOL_PROPERTIES_RESCAN =
        1 << 2 /**< scan the pool first if its last scan is older than 1 s */
} CstVolPropertyFlags;

typedef struct {
    char *backing; /**< path of the base, as the volume's XML has it; NULL: no base, or unknown */
    int64_t snapshots; /**< number of snapshots; -1: unknown or not supported */
} CstVolProperties;

/**
 * Returns properties of @count volumes of @pool, as one CstVolProperties for each of @names. The
 * array frees its elements. @wants: CstVolPropertyFlags. An unknown property of a volume is not a
 * failure. A volume may have changed since the last scan of the pool. Only known volumes are
 * queried, and a repeated name only at its first place. The number of snapshots is unknown while
 * another operation has claimed the volume. Errors: CANCELLED by @task (may be NULL); failures of
 * the pool as a whole.
 */
GArray *cst_pool_vols_properties(CstPool *pool, const char *const *names, guint count,
                                 unsigned wants, CstTask *task, GError **error);

/**
 * Reports the parts of the guest-visible content that may differ between the snapshots @since and
 * @until (NULL: the current content). The implementation of the snapshots reports them without
 * reading data: see base/changed.h. Errors: UNSUPPORTED if it cannot report them, so that the
 * caller has to read and compare both; BUSY if @until is NULL and the image is being written.
 */
gboolean cst_vol_changed(CstPool *pool, const char *volume, const char *since, const char *until,
                         CstTask *task, CstChanged *changed, GError **error);

/**
 * Creates a snapshot of the current content. @limit: bytes to reserve for changes, if the
 * technology needs a reservation; 0: its default.
 */
gboolean cst_vol_snapshot_create(CstPool *pool, const char *volume, const char *name,
                                 uint64_t limit, CstTask *task, GError **error);
/** A volume of a set, both borrowed. */
typedef struct {
    CstPool *pool;
    const char *volume;
} CstSnapshotVolume;

/**
 * Creates a snapshot request->name of each of the @count @volumes. If a running domain of libvirt
 * has volumes of the set as its disks, it is suspended for the snapshots, so that all have the same
 * point in time. Its file systems are frozen if its agent answers. Otherwise the snapshots are
 * created in one step if the technology can, else one after the other.
 *
 * After a failure or a crash either all snapshots exist or no snapshot. A crash at the very end,
 * with volumes of several pools, may leave the snapshots of some pools.
 *
 * With request->qmp, the QEMU at that monitor must be the only process that has the volumes open.
 * It is suspended in the same way, without a freeze. The caller must be the user of this process.
 *
 * Errors: EXISTS when a volume has a snapshot of that name; INVALID when the set is empty or names
 * a volume twice; BUSY when an image is being written and cannot be copied: the domain cannot be
 * suspended, several domains would have to be, or the pause would take longer than
 * request->max_pause_ms. Raw volumes get snapshots without a pause then. STATE when the consistency
 * would be worse than request->minimum.
 */
gboolean cst_vol_snapshot_create_set(const CstSnapshotVolume *volumes, guint count,
                                     const CstSnapshotRequest *request, CstTask *task,
                                     CstSnapshotSet *ret_set, GError **error);
/**
 * Returns the names (char *) of the snapshots that a revert to @name would destroy. The array owns
 * them. It is empty if the technology keeps all snapshots.
 */
GPtrArray *cst_vol_snapshot_revert_loses(CstPool *pool, const char *volume, const char *name,
                                         CstTask *task, GError **error);
/**
 * Restores the content of the snapshot, which is kept. Data written since the snapshot is lost.
 * @agreed: further snapshots that may be destroyed (NULL-terminated; NULL: no snapshots). Fails
 * with BUSY, naming them, if the revert would destroy more.
 */
gboolean cst_vol_snapshot_revert(CstPool *pool, const char *volume, const char *name,
                                 const char *const *agreed, CstTask *task, GError **error);
/** Deletes the snapshot. The content of the volume stays. */
gboolean cst_vol_snapshot_delete(CstPool *pool, const char *volume, const char *name, CstTask *task,
                                 GError **error);
/** Renames the snapshot. EXISTS if the volume has a snapshot of that name. */
gboolean cst_vol_snapshot_rename(CstPool *pool, const char *volume, const char *name,
                                 const char *new_name, CstTask *task, GError **error);
/** Creates a volume in the same pool and format with the content and capacity of the snapshot. */
gboolean cst_vol_snapshot_clone(CstPool *pool, const char *volume, const char *name,
                                const char *new_volume, CstTask *task, GError **error);
