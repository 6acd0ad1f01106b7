/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/**
 * Selects the remembered images that count. Images of inactive pools and unreadable images always
 * count.
 */
typedef enum {
    REMEMBERED_UNSEEN,      /* no images in the tables of active pools */
    REMEMBERED_OTHER_PATHS, /* also images in tables that reference the volume by another path */
    REMEMBERED_ALL          /* also images in tables that reference it by its own path */
} RememberedImages;

/**
 * Checks that no remembered image is based on a claimed volume. BUSY names each overlay with its
 * directory and pool. Reads memory and the database. Checks the file of an overlay that is in no
 * pool, if its file system cannot hang.
 */
gboolean volume_not_remembered(const VolumeClaim *claim, RememberedImages which, GError **error);
