/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Recognises Linux's compressed loop images, for "info" only. The header is big endian: a shell
 * script of 128 bytes, block size, number of blocks; then the offsets of the blocks. Never probed,
 * as in libvirt.
 */
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "format.h"

#define CLOOP_MARK       "#!/bin/sh\n#V2.0 Format\n"
#define CLOOP_HEADER_LEN 136
#define CLOOP_MAX_BLOCK  (64 * CST_MIB)

static void cloop_inspect(CstInspection *inspection)
{
    CstImageInfo *info = inspection->info;
    uint8_t raw[CLOOP_HEADER_LEN];
    uint64_t blocks;

    if (!cst_inspection_read(inspection, 0, raw, sizeof(raw)))
        return;
    if (memcmp(raw, CLOOP_MARK, strlen(CLOOP_MARK)) != 0) {
        cst_inspection_problem(inspection, _("this is no cloop image"));
        return;
    }
    info->cluster_size = cst_be32(raw + 128);
    blocks = cst_be32(raw + 132);
    if (info->cluster_size == 0 || info->cluster_size % 512 != 0 ||
        info->cluster_size > CLOOP_MAX_BLOCK)
        cst_inspection_problem(inspection, _("the cloop header has a bad block size"));
    else if ((blocks + 1) * 8 > inspection->size - sizeof(raw))
        cst_inspection_problem(inspection, _("the cloop offsets lie outside the file"));
    else
        info->capacity = blocks * info->cluster_size;
}

const CstImageFormat cst_format_cloop = {
    .name = "cloop",
    .inspect = cloop_inspect,
    .instead = N_("qemu-img convert can read it"),
};
