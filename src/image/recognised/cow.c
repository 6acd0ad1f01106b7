/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Recognises User-mode Linux's copy-on-write format, version 2, which libvirt still probes. The
 * header is big endian: magic and version, 1024 bytes of backing file name, time, size, sector
 * size.
 */
#include <base/i18n.h>

#include "bytes.h"
#include "format.h"

#define COW_HEADER_LEN 1048
#define COW_NAME_LEN   1024

static int cow_probe(const uint8_t *head, size_t len, uint64_t size)
{
    return len >= 8 && memcmp(head, "OOOM", 4) == 0 && cst_be32(head + 4) == 2 ? 100 : 0;
}

static void cow_inspect(CstInspection *inspection)
{
    uint8_t raw[COW_HEADER_LEN];

    if (!cst_inspection_read(inspection, 0, raw, sizeof(raw)))
        return;
    if (!cow_probe(raw, sizeof(raw), inspection->size)) {
        cst_inspection_problem(inspection, _("this is no cow image of version 2"));
        return;
    }
    if (raw[8] != '\0')
        inspection->info->backing = g_strndup((const char *)raw + 8, COW_NAME_LEN);
    inspection->info->capacity = cst_be64(raw + 8 + COW_NAME_LEN + 4);
    if (inspection->info->capacity > G_MAXINT64)
        cst_inspection_problem(inspection, _("the cow header has a bad size"));
}

const CstImageFormat cst_format_cow = {
    .name = "cow",
    .probe = cow_probe,
    .magic = {CST_IMAGE_MAGIC(0, "OOOM")},
    .inspect = cow_inspect,
    .instead = N_("the format is obsolete; QEMU up to version 2.1 can read it"),
};
