/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/** BUSY, naming who has the volume open. */
gboolean volume_not_held(const VolumeClaim *claim, GError **error);
/**
 * Call before the image of a claimed volume, which @blob has open, is copied: BUSY names a process
 * that writes to it. What is copied while its metadata changes is likely to be no valid image. Raw
 * volumes pass, for any of their moments is one that a guest may have to start from.
 */
gboolean volume_not_written(const CstVolume *volume, CstBlob *blob, GError **error);
/**
 * Call before whatever changes what a claimed volume reads as (wipe, upload, shrink, revert). BUSY
 * names who has the volume open, or shows the tree of images that are based on it and would read
 * something else.
 */
gboolean volume_not_shown(const VolumeClaim *claim, GError **error);
/** BUSY, with the tree of everything that is based on it, by whatever technology. */
gboolean volume_not_needed(const VolumeClaim *claim, GError **error);
