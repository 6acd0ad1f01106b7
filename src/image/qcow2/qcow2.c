/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The table that describes qcow2 to the image engine (CstImageFormat), and the callbacks that need
 * only the header: probe and inspect.
 */
#include "qcow2.h"

#include "blocks.h"
#include "bytes.h"
#include "format.h"
#include "luksheader.h"
#include "qcow2/header/header.h"

static int qcow2_probe(const uint8_t *head, size_t len, uint64_t size)
{
    uint32_t version;

    if (len < 8 || cst_be32(head) != QCOW2_MAGIC)
        return 0;
    version = cst_be32(head + 4);
    return version == 2 || version == 3 ? 100 : 0;
}

static void qcow2_inspect(CstInspection *inspection)
{
    Qcow2Header header;

    qcow2_header_read(inspection, &header);
}

static const CstSnapshotOps snapshot_ops = {
    .list = qcow2_snapshot_list,
    .create = qcow2_snapshot_create,
    .revert = qcow2_snapshot_revert,
    .remove = qcow2_snapshot_delete,
    .rename = qcow2_snapshot_rename,
    .changed = qcow2_snapshot_changed,
};

static void qcow2_inspect_luks(CstInspection *inspection, CstImageLuks *luks)
{
    Qcow2Header header = {0};

    if (qcow2_header_read(inspection, &header) && header.crypt == QCOW2_CRYPT_LUKS)
        cst_luks_read(inspection, header.crypt_offset, header.crypt_bytes, luks);
}

const CstImageFormat cst_format_qcow2 = {
    .name = "qcow2",
    .probe = qcow2_probe,
    .magic = {CST_IMAGE_MAGIC(0, "QFI\xfb")},
    .inspect = qcow2_inspect,
    .inspect_luks = qcow2_inspect_luks,
    .create_options = CST_CREATE_BACKING | CST_CREATE_COMPAT | CST_CREATE_CLUSTER_SIZE |
                      CST_CREATE_LAZY_REFCOUNTS | CST_CREATE_EXTENDED_L2 | CST_CREATE_COMPRESSION |
                      CST_CREATE_REFCOUNT_BITS | CST_CREATE_METADATA | CST_CREATE_DATA_FILE,
    .create = qcow2_create,
    .measure = qcow2_measure,
    .is_layered = TRUE,
    .open = qcow2_open,
    .close = qcow2_close,
    .pread = qcow2_pread,
    .extent = cst_blocks_extent,
    .locate = qcow2_locate,
    .pwrite = qcow2_pwrite,
    .share_unit = qcow2_share_unit,
    .take_shared = qcow2_take_shared,
    .zero = qcow2_zero,
    .discard = qcow2_discard,
    .flush = qcow2_flush,
    .resize = qcow2_resize,
    .amend_options = CST_CREATE_BACKING | CST_CREATE_COMPAT | CST_CREATE_LAZY_REFCOUNTS |
                     CST_CREATE_REFCOUNT_BITS | CST_CREATE_DATA_FILE,
    .amend = qcow2_amend,
    .set_backing = qcow2_set_backing,
    .empty = qcow2_empty,
    .zero_unit = qcow2_zero_unit,
    .trim = qcow2_trim,
    .check = qcow2_check,
    .packed_unit = qcow2_packed_unit,
    .write_packed = qcow2_write_packed,
    .snapshots = &snapshot_ops,
    .bitmaps = &qcow2_bitmap_ops,
};
