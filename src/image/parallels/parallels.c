/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Inspection of the header of an untrusted Parallels image, and the table of the format's
 * callbacks.
 */
#include "parallels.h"

#include <base/i18n.h>

#include "bytes.h"

static int parallels_probe(const uint8_t *head, size_t len, uint64_t size)
{
    if (len < 20)
        return 0;
    if (memcmp(head, PARALLELS_MAGIC_NEW, 16) == 0) /* libvirt accepts any version of this one */
        return 100;
    return parallels_is_old(head) && cst_le32(head + PARALLELS_AT_VERSION) == PARALLELS_VERSION
               ? 100
               : 0;
}

static void parallels_inspect(CstInspection *inspection)
{
    CstImageInfo *info = inspection->info;
    uint8_t raw[PARALLELS_HEADER_LEN];
    uint64_t sectors, tracks, entries;

    if (!cst_inspection_read(inspection, 0, raw, sizeof(raw)))
        return;
    if (!parallels_probe(raw, sizeof(raw), inspection->size)) {
        cst_inspection_problem(inspection, _("this is no Parallels image"));
        return;
    }
    tracks = cst_le32(raw + PARALLELS_AT_TRACKS);
    entries = cst_le32(raw + PARALLELS_AT_ENTRIES);
    sectors = parallels_is_old(raw) ? cst_le32(raw + PARALLELS_AT_SECTORS)
                                    : cst_le64(raw + PARALLELS_AT_SECTORS);
    info->dirty = cst_le32(raw + PARALLELS_AT_IN_USE) == PARALLELS_IN_USE;
    if (sectors > (uint64_t)G_MAXINT64 / PARALLELS_SECTOR) {
        cst_inspection_problem(inspection, _("the Parallels header has a bad size"));
        return;
    }
    info->capacity = sectors * PARALLELS_SECTOR;
    info->cluster_size = tracks * PARALLELS_SECTOR;
    if (cst_le32(raw + PARALLELS_AT_VERSION) != PARALLELS_VERSION)
        cst_inspection_unsupported(inspection, _("the Parallels image has an unknown version"));
    else if (tracks == 0 || tracks > PARALLELS_MAX_TRACKS)
        cst_inspection_problem(inspection, _("the Parallels header has a bad cluster size"));
    else if (entries > PARALLELS_MAX_BAT || entries * 4 > inspection->size - sizeof(raw))
        cst_inspection_problem(inspection, _("the Parallels block table lies outside the file"));
    else if (entries * tracks < sectors)
        cst_inspection_problem(inspection,
                               _("the Parallels block table is too small for the image"));
}

const CstImageFormat cst_format_parallels = {
    .name = "parallels",
    .alias = "ploop",
    .xml_name = "ploop",
    .probe = parallels_probe,
    .magic = {CST_IMAGE_MAGIC(0, PARALLELS_MAGIC_NEW), CST_IMAGE_MAGIC(0, PARALLELS_MAGIC_OLD)},
    .inspect = parallels_inspect,
    .is_layered = TRUE,
    .create_options = CST_CREATE_CLUSTER_SIZE | CST_CREATE_METADATA,
    .create = parallels_create,
    .measure = parallels_measure,
    .open = parallels_open,
    .close = parallels_close,
    .pread = cst_blocks_pread,
    .extent = cst_blocks_extent,
    .locate = cst_blocks_locate,
    .pwrite = parallels_pwrite,
    .zero = parallels_zero,
    .discard = parallels_discard,
    .flush = cst_blocks_flush,
    .resize = parallels_resize,
    .check = parallels_check,
};
