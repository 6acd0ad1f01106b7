/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"
#include "core/live.h"
#include "plan.h"

/**
 * A copy of a volume, or of a snapshot of it, as a new volume. All members are borrowed. The caller
 * sets them, except plan.
 */
typedef struct {
    CstVolDef *def; /* of the new volume */
    VolumePlan plan;
    const VolumeClaim *from; /* claims the source */
    const CstVolume *source;
    const char *snapshot; /* of the source; NULL: its current content */
    gboolean in_pool;     /* the pool keeps @snapshot, as a file in the format of the source */
    const LiveSet *live;  /* its content is copied; NULL: that of @source or @snapshot */
    guint live_index;     /* of the source in @live */
    unsigned flags;       /* CstVolCreateFlags */
    CstTask *task;
} VolumeClone;

/**
 * Creates the new volume in @pool. On failure no volume is left. The source stays claimed. May
 * change clone->def.
 */
gboolean volume_clone(CstPool *pool, VolumeClone *clone, GError **error);
/** Returns whether the format of the volume keeps snapshots inside the image. */
gboolean volume_keeps_snapshots(const CstVolume *volume);
