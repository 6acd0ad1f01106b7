/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/snapshots.h>

#include "core/claim.h"

/** The volume whose snapshots are listed or changed. */
typedef struct {
    VolumeClaim claim;
    CstVolume *volume;
    /** The pool's snapshots from before it became an image that keeps its own; NULL: not asked. */
    GPtrArray *older;
} SnapshotTarget;

/** Releases the claim, and frees what @target has. */
void snapshot_target_clear(SnapshotTarget *target);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SnapshotTarget, snapshot_target_clear)

/** What keeps a volume's snapshots: its image, or its pool's technology. */
typedef struct {
    GPtrArray *(*list)(SnapshotTarget *target, GError **error);
    gboolean (*create)(SnapshotTarget *target, const char *name, uint64_t limit, CstTask *task,
                       GError **error);
    /** @lost: names of the snapshots that go, to which the user has agreed */
    gboolean (*revert)(SnapshotTarget *target, const char *name, const GPtrArray *lost,
                       CstTask *task, GError **error);
    gboolean (*remove)(SnapshotTarget *target, const char *name, CstTask *task, GError **error);
    gboolean (*rename)(SnapshotTarget *target, const char *name, const char *new_name,
                       GError **error);
    /** of what the guest sees; @until NULL: now */
    gboolean (*changed)(SnapshotTarget *target, const char *since, const char *until, CstTask *task,
                        CstChanged *changed, GError **error);
} SnapshotProvider;

extern const SnapshotProvider snapshot_image_provider, snapshot_pool_provider;

/**
 * Claims the volume, as target->claim asks for it, and finds the provider; NULL with UNSUPPORTED
 * where neither the format nor the pool can keep snapshots. @name: of the snapshot, NULL: none.
 * Names are checked only where they become names of files: images made elsewhere may have any.
 */
const SnapshotProvider *snapshot_claim(SnapshotTarget *target, CstPool *pool, const char *volume,
                                       ClaimKind kind, const char *name, GError **error);
/**
 * All of the volume's snapshots. The pool's older ones come first: they are from before the image.
 */
GPtrArray *snapshot_list_all(const SnapshotProvider *provider, SnapshotTarget *target,
                             GError **error);
/** Returns the snapshot @name of a list, borrowed; NULL: there is none. */
const CstSnapshot *volume_snapshot_find(const GPtrArray *snapshots, const char *name);
