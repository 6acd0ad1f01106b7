/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "format.h"

/*
 * VirtualBox's disk image, version 1.1: 64 bytes of text, a preheader and a little-endian header
 * (formats.kaitai.io/vdi), a map of 32-bit block numbers, the blocks. Bounds as qemu has them.
 */
#define VDI_SIGNATURE    0xbeda107fu
#define VDI_VERSION      0x00010001u
#define VDI_HEADER_LEN   0x1c8
#define VDI_MAX_BLOCKS   0x3fffffffu
#define VDI_MAX_CAPACITY (VDI_MAX_BLOCKS * CST_MIB)

static int vdi_probe(const uint8_t *head, size_t len, uint64_t size)
{
    if (len < 0x48 || cst_le32(head + 0x40) != VDI_SIGNATURE)
        return 0;
    return cst_le32(head + 0x44) == VDI_VERSION ? 100 : 0;
}

static void tell_kind(CstImageLook *look, uint32_t kind)
{
    switch (kind) {
    case 1: cst_look_set(&look->info->subformat, "dynamic"); break;
    case 2: cst_look_set(&look->info->subformat, "static"); break;
    case 3: cst_look_set(&look->info->subformat, "undo"); break;
    case 4: cst_look_set(&look->info->subformat, "differencing"); break;
    default: cst_look_problem(look, _("the VDI header has a bad image type")); break;
    }
}

static void vdi_inspect(CstImageLook *look)
{
    static const uint8_t nil[16];
    uint8_t raw[VDI_HEADER_LEN];
    CstImageInfo *info = look->info;
    uint64_t block_size, blocks;

    if (!cst_look_read(look, 0, raw, sizeof(raw)))
        return;
    if (!vdi_probe(raw, sizeof(raw), look->size)) {
        cst_look_problem(look, _("this is no VDI image of version 1.1"));
        return;
    }
    info->capacity = cst_le64(raw + 0x170);
    block_size = cst_le32(raw + 0x178);
    blocks = cst_le32(raw + 0x180);
    info->cluster_size = block_size;
    tell_kind(look, cst_le32(raw + 0x4c));
    if (block_size < 512 || (block_size & (block_size - 1)) != 0)
        cst_look_problem(look, _("the VDI header has a bad block size"));
    else if (info->capacity > VDI_MAX_CAPACITY || blocks > VDI_MAX_BLOCKS)
        cst_look_problem(look, _("the VDI header has a bad size"));
    else if (info->capacity > blocks * block_size)
        cst_look_problem(look, _("the VDI block map is too small for the image"));
    else if (cst_le32(raw + 0x168) != 512)
        cst_look_problem(look, _("the VDI header has a bad sector size"));
    else if (cst_le32(raw + 0x154) % 512 != 0 || cst_le32(raw + 0x158) % 512 != 0)
        cst_look_problem(look, _("the VDI block map or data is not aligned"));
    else if (cst_le32(raw + 0x154) > look->size || blocks * 4 > look->size - cst_le32(raw + 0x154))
        cst_look_problem(look, _("the VDI block map lies outside the file"));
    info->capacity = (info->capacity + 511) / 512 * 512;
    if (memcmp(raw + 0x1a8, nil, 16) != 0 || memcmp(raw + 0x1b8, nil, 16) != 0)
        cst_look_unsupported(look, _("the VDI image builds on another one, named by UUID only"));
}

const CstImageFormat cst_format_vdi = {
    .name = "vdi",
    .probe = vdi_probe,
    .inspect = vdi_inspect,
};
