/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Recognises Bochs' growing images, for "info" only: Cistern can neither open nor create them. The
 * header is little endian: three names of 32, 16 and 16 bytes, version, header size, catalogue
 * entries, bitmap and extent sizes, the disk's size. Never probed, as in libvirt.
 */
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "format.h"

#define BOCHS_HEADER_LEN 512
#define BOCHS_V1         0x00010000u
#define BOCHS_V2         0x00020000u

static void bochs_inspect(CstInspection *inspection)
{
    CstImageInfo *info = inspection->info;
    uint8_t raw[BOCHS_HEADER_LEN];
    uint32_t version, catalog, extent;

    if (!cst_inspection_read(inspection, 0, raw, sizeof(raw)))
        return;
    version = cst_le32(raw + 64);
    if (memcmp(raw, "Bochs Virtual HD Image", 23) != 0 || memcmp(raw + 32, "Redolog", 8) != 0 ||
        memcmp(raw + 48, "Growing", 8) != 0 || (version != BOCHS_V1 && version != BOCHS_V2)) {
        cst_inspection_problem(inspection, _("this is no growing Bochs image"));
        return;
    }
    catalog = cst_le32(raw + 72);
    extent = cst_le32(raw + 80);
    info->capacity = cst_le64(raw + (version == BOCHS_V1 ? 84 : 88)) / 512 * 512;
    info->cluster_size = extent;
    if (!cst_is_power_of_two(extent, 512, 0x800000))
        cst_inspection_problem(inspection, _("the Bochs header has a bad extent size"));
    else if (catalog > 0x100000 || (uint64_t)catalog * extent < info->capacity)
        cst_inspection_problem(inspection, _("the Bochs catalogue does not fit the image's size"));
}

const CstImageFormat cst_format_bochs = {
    .name = "bochs",
    .inspect = bochs_inspect,
    .instead = N_("qemu-img convert can read it"),
};
