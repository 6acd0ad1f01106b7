/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Inspects the untrusted header of a qcow image of version 1, with QEMU's limits, and defines the
 * table of the format's callbacks.
 */
#include "qcow.h"

#include <base/i18n.h>

#include "bytes.h"

static int qcow_probe(const uint8_t *head, size_t len, uint64_t size)
{
    return len >= 8 && cst_be32(head) == QCOW_MAGIC && cst_be32(head + 4) == 1 ? 100 : 0;
}

static void read_backing(CstInspection *inspection, uint64_t offset, uint32_t len)
{
    if (offset == 0)
        return;
    if (len > 1023)
        cst_inspection_problem(inspection, _("the qcow header has a bad backing file name length"));
    else if (len > 0)
        inspection->info->backing = cst_inspection_string(inspection, offset, len);
}

static void qcow_inspect(CstInspection *inspection)
{
    CstImageInfo *info = inspection->info;
    uint8_t raw[QCOW_HEADER_LEN];
    unsigned cluster_bits, l2_bits;
    uint32_t crypt;

    if (!cst_inspection_read(inspection, 0, raw, sizeof(raw)))
        return;
    if (!qcow_probe(raw, sizeof(raw), inspection->size)) {
        cst_inspection_problem(inspection, _("this is no qcow image of version 1"));
        return;
    }
    info->capacity = cst_be64(raw + QCOW_AT_SIZE);
    cluster_bits = raw[QCOW_AT_CLUSTER_BITS];
    l2_bits = raw[QCOW_AT_L2_BITS];
    crypt = cst_be32(raw + QCOW_AT_CRYPT);
    read_backing(inspection, cst_be64(raw + QCOW_AT_NAME), cst_be32(raw + QCOW_AT_NAME_LEN));
    if (crypt == 1)
        cst_inspection_set(&info->encryption, "aes");
    if (cluster_bits < 9 || cluster_bits > 16) {
        cst_inspection_problem(inspection, _("the qcow header has a bad cluster size"));
        return;
    }
    info->cluster_size = UINT64_C(1) << cluster_bits;
    if (l2_bits < 6 || l2_bits > 13)
        cst_inspection_problem(inspection, _("the qcow header has a bad L2 table size"));
    else if (info->capacity < 2 || info->capacity > G_MAXINT64 ||
             info->capacity >> (cluster_bits + l2_bits) > QCOW_MAX_L1)
        cst_inspection_problem(inspection, _("the qcow header has a bad size"));
    else if (crypt > 1)
        cst_inspection_problem(inspection, _("the qcow header has a bad encryption method"));
}

const CstImageFormat cst_format_qcow = {
    .name = "qcow",
    .probe = qcow_probe,
    .inspect = qcow_inspect,
    .is_layered = TRUE,
    .create_options = CST_CREATE_BACKING | CST_CREATE_METADATA,
    .create = qcow_create,
    .measure = qcow_measure,
    .open = qcow_open,
    .close = qcow_close,
    .pread = cst_blocks_pread,
    .extent = cst_blocks_extent,
    .locate = cst_blocks_locate,
    .pwrite = cst_blocks_pwrite,
    .zero = cst_levels_zero,
    .discard = cst_blocks_discard,
    .flush = cst_blocks_flush,
    .packed_unit = cst_levels_packed_unit,
    .write_packed = cst_levels_write_packed,
    .resize = cst_levels_resize,
    .set_backing = cst_levels_set_backing,
    .empty = cst_levels_empty,
    .check = qcow_check,
};
