/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The table of the format's callbacks, and inspection without opening.
 */
#include "vpc.h"

static void vpc_inspect(CstInspection *inspection)
{
    VpcHeader header;

    vpc_header_read(inspection, &header);
}

const CstImageFormat cst_format_vpc = {
    .name = "vpc",
    .alias = "vhd",
    .probe = vpc_probe,
    .probe_tail = vpc_probe_tail,
    .magic = {CST_IMAGE_MAGIC(0, "conectix")},
    .inspect = vpc_inspect,
    .create_options =
        CST_CREATE_BACKING | CST_CREATE_SUBFORMAT | CST_CREATE_FORCE_SIZE | CST_CREATE_METADATA,
    .create = vpc_create,
    .measure = vpc_measure,
    .open = vpc_open,
    .close = vpc_close,
    .pread = cst_blocks_pread,
    .extent = cst_blocks_extent,
    .locate = cst_blocks_locate,
    .pwrite = cst_blocks_pwrite,
    .zero = cst_blocks_zero,
    .discard = cst_blocks_discard,
    .flush = cst_blocks_flush,
    .resize = vpc_resize,
    .set_backing = vpc_set_backing,
    .empty = vpc_empty,
    .check = vpc_check,
};
