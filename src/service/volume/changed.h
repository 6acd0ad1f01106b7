/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/changed.h>

#include "core/claim.h"

/**
 * CstSnapshotBackend.changed of a claimed volume whose snapshots the pool's technology keeps;
 * UNSUPPORTED where what is stored is not what the guest sees.
 */
gboolean volume_changed_outside(const VolumeClaim *claim, const CstVolume *volume,
                                const char *since, const char *until, CstTask *task,
                                CstChanged *changed, GError **error);
