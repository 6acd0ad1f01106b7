/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>
#include <image/luks.h>

#include "output/qdict.h"

/** The description of one image, as image-info and qemu-img info print it. */
typedef struct {
    const char *path; /**< borrowed from the blob */
    CstImageInfo info;
    uint64_t disk_size;   /**< allocated bytes of the file */
    char *full_backing;   /**< resolved path of the backing file; NULL: no backing file */
    GPtrArray *snapshots; /**< of CstImageSnapshot; NULL: no snapshots, or unreadable */
    GPtrArray *bitmaps;   /**< of CstImageBitmap; NULL: no bitmaps, or unreadable */
    GPtrArray *parts;     /**< of CstImagePart; NULL: no parts, or unreadable */
    CstImageLuks luks;
} CliImageDescription;

/** Frees the members of @shown, not @shown itself. */
void cli_image_description_clear(CliImageDescription *shown);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliImageDescription, cli_image_description_clear)

/**
 * Reads the metadata of an untrusted image and its lists of snapshots, bitmaps and parts. @format
 * NULL: it is detected. Reads only @blob, which must outlive *ret_shown. A damaged image is not an
 * error. FALSE only when the blob cannot be read. The caller clears *ret_shown in any case.
 */
gboolean cli_image_describe(CstBlob *blob, const CstImageFormat *format,
                            CliImageDescription *ret_shown, GError **error);

/** Returns the description with the members of qemu-img's JSON. */
CliQdict *cli_image_description_dict(const CliImageDescription *shown);
/** Returns the facts of the format alone ("data" in JSON); NULL: the format has no such facts. */
CliQdict *cli_image_specific_dict(const CliImageDescription *shown);
