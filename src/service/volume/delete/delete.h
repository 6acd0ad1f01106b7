/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/**
 * Completes the deletion of the claimed @volume: removes its declaration, detaches running
 * downloads from its name, and removes it from the pool's table. Call it after the deletion. Cannot
 * fail.
 */
void volume_is_gone(const VolumeClaim *claim, const CstVolume *volume);
