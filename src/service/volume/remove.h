/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/** BUSY when the pool keeps snapshots of the volume and @flags do not say that they go with it. */
gboolean volume_snapshots_agreed(const VolumeClaim *claim, const CstVolume *volume, unsigned flags,
                                 GError **error);
/**
 * Deletes the snapshots that the pool keeps of the volume if @flags say so, else fails with BUSY.
 * Takes that flag, which the backend does not know, out of @flags.
 */
gboolean volume_drop_snapshots(VolumeClaim *claim, const CstVolume *volume, unsigned *flags,
                               CstTask *task, GError **error);
/** Removes a volume that was claimed for writing, with its snapshots; BUSY when it is needed. */
gboolean volume_remove(VolumeClaim *claim, const CstVolume *volume, unsigned flags, CstTask *task,
                       GError **error);
