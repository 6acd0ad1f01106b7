/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The table of the format's callbacks, and inspection without opening.
 */
#include "vdi.h"

static void vdi_inspect(CstInspection *inspection)
{
    VdiHeader header;

    vdi_header_read(inspection, &header);
}

const CstImageFormat cst_format_vdi = {
    .name = "vdi",
    .probe = vdi_probe,
    .magic = {CST_IMAGE_MAGIC(64, "\x7f\x10\xda\xbe")},
    .inspect = vdi_inspect,
    .create_options = CST_CREATE_SUBFORMAT | CST_CREATE_STATIC | CST_CREATE_METADATA,
    .create = vdi_create,
    .measure = vdi_measure,
    .open = vdi_open,
    .close = vdi_close,
    .pread = cst_blocks_pread,
    .extent = cst_blocks_extent,
    .locate = cst_blocks_locate,
    .pwrite = cst_blocks_pwrite,
    .zero = cst_blocks_zero,
    .discard = cst_blocks_discard,
    .flush = cst_blocks_flush,
    .resize = vdi_resize,
    .check = vdi_check,
};
