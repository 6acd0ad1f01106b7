/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

#include "core/pool.h"

/**
 * Creates a record of an image without a scan. The caller judges its references. @dir: base
 * directory for relative references; NULL: they are kept unchanged.
 */
CstVolume *image_record_new(const char *name, CstVolType type, const char *dir,
                            const CstImageInfo *info);
/**
 * Returns the record of the image that the device @volume is declared to contain, with the image's
 * format and capacity, and with references that are not followed. Returns @volume itself if no
 * image is declared. The caller owns the result and must have claimed the volume.
 */
CstVolume *image_record_declared(CstPool *pool, CstPoolState *state, CstVolume *volume,
                                 GError **error);
/**
 * Like image_record_declared(), but as the given @format (not NULL), whether it is declared or not.
 */
CstVolume *image_record_as(CstPoolState *state, const CstVolume *volume, const char *format,
                           GError **error);
