/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Recognises Apple's disk images by their trailer of 512 bytes ("koly", big endian), which has the
 * number of sectors. Never probed, as in libvirt.
 */
#include <base/i18n.h>

#include "bytes.h"
#include "format.h"

#define DMG_TRAILER_LEN 512

static void dmg_inspect(CstInspection *inspection)
{
    uint8_t raw[DMG_TRAILER_LEN];
    uint64_t sectors;

    if (inspection->size < sizeof(raw)) {
        cst_inspection_problem(inspection, _("this is no disk image of Apple's kind"));
        return;
    }
    if (!cst_inspection_read(inspection, inspection->size - sizeof(raw), raw, sizeof(raw)))
        return;
    sectors = cst_be64(raw + 0x1ec);
    if (memcmp(raw, "koly", 4) != 0)
        cst_inspection_problem(inspection, _("this is no disk image of Apple's kind"));
    else if (sectors > (uint64_t)G_MAXINT64 / 512)
        cst_inspection_problem(inspection, _("the disk image has a bad size"));
    else
        inspection->info->capacity = sectors * 512;
}

const CstImageFormat cst_format_dmg = {
    .name = "dmg",
    .inspect = dmg_inspect,
    .instead = N_("qemu-img convert can read it"),
};
