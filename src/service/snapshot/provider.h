/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>
#include <service/snapshots.h>

#include "core/claim.h"
#include "core/promise.h"

/** The volume of a snapshot operation. */
typedef struct {
    VolumeClaim claim;
    CstVolume *volume;
    /**
     * The pool's snapshots from before the volume became an image that keeps its own; NULL: not
     * queried.
     */
    GPtrArray *older;
    PoolPromise promise; /**< of a change that lets the volume or its snapshots grow */
} SnapshotTarget;

/** Releases the claim, and frees the members of @target. */
void snapshot_target_clear(SnapshotTarget *target);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SnapshotTarget, snapshot_target_clear)

/** Implementation of a volume's snapshots: by its image, or by its pool's technology. */
typedef struct {
    GPtrArray *(*list)(SnapshotTarget *target, GError **error);
    gboolean (*create)(SnapshotTarget *target, const char *name, const CstSnapshotCreate *how,
                       CstTask *task, GError **error);
    /** @lost: names of the snapshots that are destroyed with the user's consent */
    gboolean (*revert)(SnapshotTarget *target, const char *name, const GPtrArray *lost,
                       CstTask *task, GError **error);
    gboolean (*remove)(SnapshotTarget *target, const char *name, CstTask *task, GError **error);
    gboolean (*rename)(SnapshotTarget *target, const char *name, const char *new_name,
                       GError **error);
    /** of the guest-visible content; @until NULL: the current content */
    gboolean (*changed)(SnapshotTarget *target, const char *since, const char *until, CstTask *task,
                        CstChanged *changed, GError **error);
} SnapshotProvider;

extern const SnapshotProvider snapshot_image_provider, snapshot_pool_provider;

/**
 * Claims the volume, with the parameters in target->claim, and selects the provider. @name: of the
 * snapshot; NULL: no snapshot. Returns NULL with UNSUPPORTED if neither the format nor the pool
 * supports snapshots. Checks @name only if it becomes a file name, because images from other tools
 * may contain any name.
 */
const SnapshotProvider *snapshot_claim(SnapshotTarget *target, CstPool *pool, const char *volume,
                                       ClaimKind kind, const char *name, GError **error);
/** Returns all snapshots of the volume. The pool's older ones come first. */
GPtrArray *snapshot_list_all(const SnapshotProvider *provider, SnapshotTarget *target,
                             GError **error);
/**
 * Opens snapshot @name, which the pool keeps, as an image of the volume's format, without data.
 * *ret_image: NULL if it is damaged or has another format. The caller unrefs it.
 */
gboolean snapshot_open_kept(SnapshotTarget *target, const char *name, CstImage **ret_image,
                            GError **error);
/**
 * Appends to @lost the names of the snapshots inside of the volume's image that snapshot @name,
 * which the pool keeps, does not contain. None, if the volume's format keeps no snapshots.
 */
gboolean snapshot_inside_lost(SnapshotTarget *target, const char *name, GPtrArray *lost,
                              GError **error);
/** Fails with EXISTS if the volume has a snapshot @name, in the image or in the pool. */
gboolean snapshot_check_name_free(SnapshotTarget *target, const char *name, GError **error);
