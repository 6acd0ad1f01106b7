/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

#include "core/claim.h"

/**
 * Returns the callback that opens the further data files of the image of @volume, which @claim
 * holds. The files must be declared and be volumes of the same pool. They are claimed together with
 * the volume and released with it. Valid as long as the claim.
 */
CstImageFiles volume_part_files(VolumeClaim *claim, const CstVolume *volume);
/**
 * Opens a claimed volume's image without its backing chain. @claim must outlive the image. With
 * CST_IMAGE_WRITE it fails with BUSY, naming the holder, if another process has it open with QEMU's
 * locks, or for writing without them.
 */
CstImage *volume_open_image(VolumeClaim *claim, const CstVolume *volume, unsigned flags,
                            GError **error);
