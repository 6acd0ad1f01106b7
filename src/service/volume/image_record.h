/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

#include "core/pool.h"

/**
 * Makes a record of an image that no pool's scan has described; the caller judges its references.
 * @dir: what relative references are relative to; NULL: they are kept as they are.
 */
CstVolume *image_record_new(const char *name, CstVolType type, const char *dir,
                            const CstImageInfo *info);
/**
 * Returns the record of @volume as the image that its device is declared to hold, with the format
 * and the capacity of that, and references that are not followed; @volume itself where none is
 * declared. Owned by the caller, who has claimed the volume.
 */
CstVolume *image_record_declared(CstPool *pool, CstPoolState *state, CstVolume *volume,
                                 GError **error);
/** Does the same for @format (not NULL), declared or not. */
CstVolume *image_record_as(CstPoolState *state, const CstVolume *volume, const char *format,
                           GError **error);
