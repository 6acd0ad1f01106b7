/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"
#include "plan.h"

/** A copy of a volume, or of a snapshot of it, as a new volume. */
typedef struct {
    CstVolDef *def; /* of the new volume */
    VolumePlan plan;
    const VolumeClaim *from; /* claims the source */
    const CstVolume *source;
    const char *snapshot; /* of the source; NULL: what it holds now */
    unsigned flags;       /* CstVolCreateFlags */
    CstTask *task;
} VolumeClone;

/** Makes the new volume in @pool; the source is claimed. */
gboolean volume_clone(CstPool *pool, VolumeClone *clone, GError **error);
/** The format of the volume keeps snapshots inside of the image. */
gboolean volume_keeps_snapshots(const CstVolume *volume);
