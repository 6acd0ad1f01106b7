/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/image_report.h>

#include "core/claim.h"

/** Name of the row whose problem says how many more there are. */
#define VOLUME_MORE "..."

/**
 * Returns what would be lost with a claimed volume as CstChainRow *, each before its dependents;
 * level 0 depends on the volume directly. At most @most rows, and VOLUME_MORE if there are more.
 * @images: only what would be lost with what the volume holds now, which clones by the pool's
 * technology are not.
 */
GPtrArray *volume_dependents(const VolumeClaim *claim, gboolean images, guint most, GError **error);

/** A volume whose image names another one. */
typedef struct {
    CstPool *pool;     /**< that lists it; a reference */
    CstVolume *volume; /**< a reference */
} VolumeOverlay;

/** Frees the overlay with its references. */
void volume_overlay_free(VolumeOverlay *overlay);
/**
 * Returns the volumes of active pools whose images name the file or device at @path and may, as
 * VolumeOverlay *, by pool and name.
 */
GPtrArray *volume_overlays(CstService *service, const char *path, GError **error);

/** Counts the volumes that depend directly on a claimed one, by image or by technology. */
gboolean volume_count_dependents(const VolumeClaim *claim, guint *ret_count, GError **error);
