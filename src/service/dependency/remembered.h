/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/**
 * Which remembered images count. An image of an inactive pool always counts, and so does an image
 * that can't be read now.
 */
typedef enum {
    REMEMBERED_UNSEEN,      /* none that the table of an active pool has */
    REMEMBERED_OTHER_PATHS, /* also those in tables that name the volume by another path */
    REMEMBERED_ALL          /* also those in tables that name it by its own path */
} RememberedImages;

/**
 * Checks that no remembered image is based on a claimed volume. BUSY names each overlay with its
 * directory and pool. Reads memory and the database, and looks for an overlay of no pool where that
 * cannot hang.
 */
gboolean volume_not_remembered(const VolumeClaim *claim, RememberedImages which, GError **error);
