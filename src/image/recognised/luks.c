/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Recognises a LUKS container, big endian ("LUKS1 On-Disk Format Specification 1.2.3", partition
 * header; "LUKS2 On-Disk Format Specification 1.1.1", binary header). For libvirt it is a raw
 * volume with encryption, whose capacity is the size after the payload offset. In version 2 only
 * the JSON area has this offset, so the capacity is the whole container.
 */
#include <base/i18n.h>

#include "bytes.h"
#include "format.h"
#include "luksheader.h"

#define LUKS1_HEADER_LEN 592

static int luks_probe(const uint8_t *head, size_t len, uint64_t size)
{
    uint16_t version;

    if (len < 8 || memcmp(head, "LUKS\xba\xbe", 6) != 0)
        return 0;
    version = cst_be16(head + 6);
    return version == 1 || version == 2 ? 100 : 0;
}

static void luks_inspect(CstInspection *inspection)
{
    CstImageInfo *info = inspection->info;
    uint8_t raw[LUKS1_HEADER_LEN];
    uint64_t payload;

    info->capacity = inspection->size;
    if (!cst_inspection_read(inspection, 0, raw, sizeof(raw)))
        return;
    if (!luks_probe(raw, sizeof(raw), inspection->size)) {
        cst_inspection_problem(inspection, _("this is no LUKS container"));
        return;
    }
    if (cst_be16(raw + 6) == 2) {
        cst_inspection_set(&info->encryption, "luks2");
        return;
    }
    cst_inspection_set(&info->encryption, "luks");
    payload = cst_be32(raw + 104) * UINT64_C(512);
    if (payload > inspection->size) {
        cst_inspection_problem(inspection, _("the LUKS payload lies outside the file"));
        info->capacity = 0;
    } else {
        info->capacity = inspection->size - payload;
    }
}

static void luks_describe(CstInspection *inspection, CstImageLuks *luks)
{
    cst_luks_read(inspection, 0, inspection->size, luks);
}

const CstImageFormat cst_format_luks = {
    .name = "luks",
    .is_container = TRUE,
    .xml_name = "raw",
    .probe = luks_probe,
    .magic = {CST_IMAGE_MAGIC(0, "LUKS\xba\xbe")},
    .inspect = luks_inspect,
    .inspect_luks = luks_describe,
    .instead = N_(
        "its content is encrypted; cryptsetup or qemu-img convert can read it with its passphrase"),
};
