/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "format.h"

/*
 * Virtual Hard Disk, called vpc (Virtual Hard Disk Image Format Specification 1.0, "Hard Disk
 * Footer Format" and "Dynamic Disk Header Format"). A fixed disk is raw data with a footer; a
 * dynamic or differencing one has a copy of the footer in front.
 */
#define VHD_FOOTER_LEN   512
#define VHD_DYNAMIC_LEN  1024
#define VHD_MAX_SECTORS  0xff000000u /* 2040 GiB */
#define VHD_MAX_GEOMETRY (65535u * 16 * 255)

enum { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

static gboolean is_footer(const uint8_t *raw)
{
    return memcmp(raw, "conectix", 8) == 0;
}

static int vpc_probe(const uint8_t *head, size_t len, uint64_t size)
{
    return len >= 16 && is_footer(head) && cst_be32(head + 12) == 0x10000 ? 100 : 0;
}

/* One's complement of the sum of all bytes but the checksum's own. */
static gboolean checksum_holds(const uint8_t *raw, size_t len, size_t at)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        if (i < at || i >= at + 4)
            sum += raw[i];
    return cst_be32(raw + at) == ~sum;
}

/*
 * Programs disagree on whether the geometry or the size field counts. As in qemu, the size field
 * counts for those known to write it exactly, and where the geometry is at its end.
 */
static uint64_t guest_size(const uint8_t *footer)
{
    static const char exact[][4] = {"win ", "qem2", "d2v ", "tap", "CTXS", "wa"};
    uint64_t geometry = (uint64_t)cst_be16(footer + 56) * footer[58] * footer[59];

    for (size_t i = 0; i < G_N_ELEMENTS(exact); i++)
        if (memcmp(footer + 28, exact[i], 4) == 0)
            return cst_be64(footer + 48);
    return geometry >= VHD_MAX_GEOMETRY || geometry == 0 ? cst_be64(footer + 48) : geometry * 512;
}

static void inspect_dynamic(CstImageLook *look, uint64_t offset, gboolean has_parent)
{
    CstImageInfo *info = look->info;
    uint8_t raw[VHD_DYNAMIC_LEN];
    uint64_t table, entries;

    if (!cst_look_read(look, offset, raw, sizeof(raw)))
        return;
    if (memcmp(raw, "cxsparse", 8) != 0) {
        cst_look_problem(look, _("the dynamic header of the VHD image is missing"));
        return;
    }
    table = cst_be64(raw + 16);
    entries = cst_be32(raw + 28);
    info->cluster_size = cst_be32(raw + 32);
    if (has_parent) {
        info->backing = cst_look_utf16(raw + 64, 512, TRUE);
        cst_look_set(&info->backing_format, "vpc");
    }
    if (!checksum_holds(raw, sizeof(raw), 36))
        cst_look_problem(look, _("the checksum of the VHD image's dynamic header is wrong"));
    else if (info->cluster_size < 512 || (info->cluster_size & (info->cluster_size - 1)) != 0)
        cst_look_problem(look, _("the VHD image has a bad block size"));
    else if (entries * info->cluster_size < info->capacity)
        cst_look_problem(look, _("the VHD block table is too small for the image"));
    else if (table > look->size || entries * 4 > look->size - table)
        cst_look_problem(look, _("the VHD block table lies outside the file"));
}

/* The footer at the end; the copy in front stands in for it. */
static gboolean find_footer(CstImageLook *look, uint8_t *footer)
{
    if (look->size >= VHD_FOOTER_LEN &&
        cst_look_read(look, look->size - VHD_FOOTER_LEN, footer, VHD_FOOTER_LEN) &&
        is_footer(footer))
        return TRUE;
    if (look->error || !cst_look_read(look, 0, footer, VHD_FOOTER_LEN))
        return FALSE;
    if (is_footer(footer))
        return TRUE;
    cst_look_problem(look, _("this is no VHD image: it has no footer"));
    return FALSE;
}

static void vpc_inspect(CstImageLook *look)
{
    CstImageInfo *info = look->info;
    uint8_t footer[VHD_FOOTER_LEN];
    uint32_t kind;

    if (!find_footer(look, footer))
        return;
    kind = cst_be32(footer + 60);
    info->capacity = guest_size(footer);
    if (!checksum_holds(footer, sizeof(footer), 64))
        cst_look_problem(look, _("the checksum of the VHD image's footer is wrong"));
    if (info->capacity > VHD_MAX_SECTORS * UINT64_C(512))
        cst_look_problem(look, _("the VHD image has a bad size"));
    if (kind == VHD_FIXED) {
        cst_look_set(&info->subformat, "fixed");
        if (info->capacity > look->size - MIN(look->size, VHD_FOOTER_LEN))
            cst_look_problem(look, _("the fixed VHD image is cut off"));
    } else if (kind == VHD_DYNAMIC || kind == VHD_DIFFERENCING) {
        cst_look_set(&info->subformat, kind == VHD_DYNAMIC ? "dynamic" : "differencing");
        inspect_dynamic(look, cst_be64(footer + 16), kind == VHD_DIFFERENCING);
    } else {
        cst_look_problem(look, _("the VHD image has a bad type"));
    }
}

const CstImageFormat cst_format_vpc = {
    .name = "vpc",
    .alias = "vhd",
    .probe = vpc_probe,
    .inspect = vpc_inspect,
};
