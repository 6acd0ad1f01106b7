/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"
#include "plan.h"

/**
 * A copy of a volume, or of a snapshot of it, as a new volume. All is borrowed; the caller fills it
 * but for plan.
 */
typedef struct {
    CstVolDef *def; /* of the new volume */
    VolumePlan plan;
    const VolumeClaim *from; /* claims the source */
    const CstVolume *source;
    const char *snapshot; /* of the source; NULL: what it holds now */
    unsigned flags;       /* CstVolCreateFlags */
    CstTask *task;
} VolumeClone;

/**
 * Makes the new volume in @pool: whole, or not at all. The source stays claimed. May change
 * clone->def.
 */
gboolean volume_clone(CstPool *pool, VolumeClone *clone, GError **error);
/** Whether the format of the volume keeps snapshots inside of the image. */
gboolean volume_keeps_snapshots(const CstVolume *volume);
