/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/**
 * Call it after the claimed @volume was deleted: nothing is declared of it any more, downloads that
 * still read its file don't hold its name, and the pool lists it no longer. Can't fail.
 */
void volume_is_gone(const VolumeClaim *claim, const CstVolume *volume);
