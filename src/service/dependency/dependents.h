/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/image_report.h>

#include "core/claim.h"

/** Name of the row that contains, in its problem text, the number of omitted rows. */
#define VOLUME_MORE "..."

/**
 * Returns the volumes that depend on a claimed volume as CstChainRow *, each before its dependents.
 * Level 0 depends on the volume directly. Returns at most @most rows, plus VOLUME_MORE if more
 * exist. @images: only images, which depend on the present content. Clones by the pool's technology
 * are then omitted.
 */
GPtrArray *volume_dependents(const VolumeClaim *claim, gboolean images, guint most, GError **error);

/** A volume with an image that references another volume. */
typedef struct {
    CstPool *pool;     /**< its pool; a reference */
    CstVolume *volume; /**< a reference */
} VolumeOverlay;

/** Frees the overlay with its references. */
void volume_overlay_free(VolumeOverlay *overlay);
/**
 * Returns the volumes of active pools whose images have a declared reference to the file or device
 * at @path, as VolumeOverlay *, ordered by pool and name. NULL with an error if the pool @own of
 * that file cannot be read.
 */
GPtrArray *volume_overlays(CstPool *own, const char *path, GError **error);

/** Counts the direct dependents of a claimed volume, by image or by technology. */
gboolean volume_count_dependents(const VolumeClaim *claim, guint *ret_count, GError **error);
