/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>

#include "core/claim.h"

/**
 * Calls CstSnapshotBackend.changed for a claimed volume with snapshots by the pool's technology.
 * UNSUPPORTED if the stored bytes are not the guest-visible content.
 */
gboolean volume_changed_outside(const VolumeClaim *claim, const CstVolume *volume,
                                const char *since, const char *until, CstTask *task,
                                CstChanged *changed, GError **error);
