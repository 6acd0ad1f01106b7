/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/**
 * Fails with BUSY if the pool keeps snapshots of the volume and @flags do not request their
 * deletion.
 */
gboolean volume_snapshots_agreed(const VolumeClaim *claim, const CstVolume *volume, unsigned flags,
                                 GError **error);
/**
 * Deletes the snapshots that the pool keeps of the volume if @flags request that, else fails with
 * BUSY. Clears that flag in @flags, because the backend does not know it.
 */
gboolean volume_drop_snapshots(VolumeClaim *claim, const CstVolume *volume, unsigned *flags,
                               CstTask *task, GError **error);
/**
 * Removes a volume that was claimed for writing, with its snapshots. BUSY if another volume depends
 * on it.
 */
gboolean volume_remove(VolumeClaim *claim, const CstVolume *volume, unsigned flags, CstTask *task,
                       GError **error);
