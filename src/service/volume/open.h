/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

#include "core/claim.h"

/**
 * Returns the callback that opens the other files in which the image of @volume, which @claim
 * holds, keeps its content: those that are declared, and are volumes of the same pool. They are
 * claimed with the volume and released with it. Valid as long as the claim.
 */
CstImageFiles volume_part_files(VolumeClaim *claim, const CstVolume *volume);
/**
 * Opens a claimed volume's image alone, without what it is based on; @claim outlives it. With
 * CST_IMAGE_WRITE only when nobody else has it open (BUSY, naming the holder).
 */
CstImage *volume_open_image(VolumeClaim *claim, const CstVolume *volume, unsigned flags,
                            GError **error);
