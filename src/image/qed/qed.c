/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Inspects the untrusted header of a QED image, with the limits of its specification, and defines
 * the table of the format's callbacks.
 */
#include "qed.h"

#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"

/* libvirt compares only three letters; the fourth byte is NUL in every image. */
static int qed_probe(const uint8_t *head, size_t len, uint64_t size)
{
    return len >= 4 && memcmp(head, "QED", 4) == 0 ? 100 : 0;
}

/* @raw: the header; @cluster: its cluster size. */
static gboolean qed_check_header(CstInspection *inspection, const uint8_t *raw, uint64_t cluster)
{
    uint64_t capacity = inspection->info->capacity;
    uint64_t table = cst_le32(raw + QED_AT_TABLE), header = cst_le32(raw + QED_AT_HEADER);
    uint64_t l1_offset = cst_le64(raw + QED_AT_L1);

    if (!cst_is_power_of_two(cluster, QED_MIN_CLUSTER, QED_MAX_CLUSTER))
        cst_inspection_problem(inspection, _("the QED header has a bad cluster size"));
    else if (!cst_is_power_of_two(table, 1, QED_MAX_TABLE))
        cst_inspection_problem(inspection, _("the QED header has a bad table size"));
    else if (header == 0 || header > G_MAXUINT32 / cluster)
        cst_inspection_problem(inspection, _("the QED header has a bad header size"));
    else if (capacity % 512 != 0 || capacity > qed_max_capacity(cluster, table))
        cst_inspection_problem(inspection, _("the QED header has a bad size"));
    /* tables allocated after it would overlap the header */
    else if (l1_offset % cluster != 0 || l1_offset / cluster < header)
        cst_inspection_problem(inspection, _("the QED header puts the L1 table in a bad place"));
    return !inspection->info->corrupt;
}

static void qed_inspect(CstInspection *inspection)
{
    CstImageInfo *info = inspection->info;
    uint8_t raw[QED_HEADER_LEN];
    uint64_t features, cluster, header, name, name_len;

    if (!cst_inspection_read(inspection, 0, raw, sizeof(raw)))
        return;
    if (!qed_probe(raw, sizeof(raw), inspection->size)) {
        cst_inspection_problem(inspection, _("this is no QED image"));
        return;
    }
    cluster = cst_le32(raw + QED_AT_CLUSTER);
    header = cst_le32(raw + QED_AT_HEADER);
    features = cst_le64(raw + QED_AT_FEATURES);
    info->capacity = cst_le64(raw + QED_AT_SIZE);
    info->cluster_size = cluster;
    info->dirty = (features & QED_NEED_CHECK) != 0;
    if (!qed_check_header(inspection, raw, cluster))
        return;
    if (features & ~(uint64_t)QED_KNOWN)
        cst_inspection_unsupported(inspection, _("the QED image has unknown features"));
    if (!(features & QED_BACKING))
        return;
    name = cst_le32(raw + QED_AT_NAME);
    name_len = cst_le32(raw + QED_AT_NAME_LEN);
    if (name > header * cluster || name_len > header * cluster - name ||
        name_len > CST_LEVELS_MAX_NAME) {
        cst_inspection_problem(inspection, _("the QED header has a bad backing file name"));
        return;
    }
    info->backing = cst_inspection_string(inspection, name, name_len);
    if (features & QED_BACKING_NO_PROBE)
        cst_inspection_set(&info->backing_format, "raw");
    else
        info->backing_not_raw = TRUE;
}

const CstImageFormat cst_format_qed = {
    .name = "qed",
    .probe = qed_probe,
    .magic = {CST_IMAGE_MAGIC(0, "QED\0")},
    .inspect = qed_inspect,
    .is_layered = TRUE,
    .create_options =
        CST_CREATE_BACKING | CST_CREATE_CLUSTER_SIZE | CST_CREATE_TABLE_SIZE | CST_CREATE_METADATA,
    .create = qed_create,
    .measure = qed_measure,
    .open = qed_open,
    .close = qed_close,
    .pread = cst_blocks_pread,
    .extent = cst_blocks_extent,
    .locate = cst_blocks_locate,
    .pwrite = cst_blocks_pwrite,
    .zero = cst_levels_zero,
    .discard = cst_blocks_discard,
    .flush = cst_blocks_flush,
    .resize = cst_levels_resize,
    .set_backing = cst_levels_set_backing,
    .empty = cst_levels_empty,
    .check = qed_check,
};
