/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Virtual Hard Disk v2 ([MS-VHDX]): probing, inspection without opening, and the table of the
 * format's callbacks.
 */
#include "vhdx.h"

#include <base/i18n.h>

#include "bytes.h"
#include "format.h"
#include "header.h"

static int vhdx_probe(const uint8_t *head, size_t len, uint64_t size)
{
    return len >= 8 && memcmp(head, "vhdxfile", 8) == 0 ? 100 : 0;
}

static void vhdx_inspect(CstInspection *inspection)
{
    CstImageInfo *info = inspection->info;
    VhdxHeader header = {0};
    VhdxLayout layout = {0};

    if (!vhdx_probe(inspection->head, inspection->head_len, inspection->size)) {
        cst_inspection_problem(inspection, _("this is no VHDX image"));
        return;
    }
    vhdx_header_read(inspection, &header);
    if (info->problem || inspection->error)
        return;
    vhdx_layout_read(inspection, &header, &layout);
    if (!layout.items)
        return;
    info->capacity = layout.capacity;
    info->cluster_size = layout.block_size;
    info->sector_size = layout.sector_size;
    cst_inspection_set(&info->subformat, layout.flags & VHDX_FLAG_PARENT  ? "differencing"
                                         : layout.flags & VHDX_FLAG_FIXED ? "fixed"
                                                                          : "dynamic");
    if (!(layout.flags & VHDX_FLAG_PARENT))
        g_clear_pointer(&info->backing, g_free);
    else
        cst_inspection_set(&info->backing_format, "vhdx");
}

const CstImageFormat cst_format_vhdx = {
    .name = "vhdx",
    .probe = vhdx_probe,
    .magic = {CST_IMAGE_MAGIC(0, "vhdxfile")},
    .inspect = vhdx_inspect,
    .create_options = CST_CREATE_BACKING | CST_CREATE_SUBFORMAT | CST_CREATE_BLOCK_SIZE |
                      CST_CREATE_SECTOR_SIZE | CST_CREATE_METADATA | CST_CREATE_LOG_SIZE,
    .create = vhdx_create,
    .measure = vhdx_measure,
    .open = vhdx_open,
    .close = vhdx_close,
    .pread = cst_blocks_pread,
    .extent = cst_blocks_extent,
    .locate = cst_blocks_locate,
    .pwrite = vhdx_pwrite,
    .zero = vhdx_zero,
    .discard = vhdx_discard,
    .flush = vhdx_flush,
    .resize = vhdx_resize,
    .set_backing = vhdx_set_backing,
    .expect = vhdx_expect,
    .follow = vhdx_follow,
    .empty = vhdx_empty,
    .check = vhdx_check,
};
