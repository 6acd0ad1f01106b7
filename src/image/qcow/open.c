/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An opened qcow image of version 1. Its header has 48 bytes, so any change of it is one write of
 * one sector. The length of the L1 table follows from the capacity. The backing file's name may be
 * anywhere; the format of the backing file is not stored.
 */
#include "qcow.h"

#include <inttypes.h>
#include <string.h>

#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"

static gboolean write_header(CstLevels *levels, GError **error)
{
    Qcow *qcow = (Qcow *)levels;

    cst_put_be64(qcow->raw + QCOW_AT_SIZE, levels->blocks.image.capacity);
    cst_put_be64(qcow->raw + QCOW_AT_L1, levels->l1_offset);
    return cst_blob_pwrite(levels->blocks.blob, qcow->raw, sizeof(qcow->raw), 0, error);
}

static uint64_t l1_entries(const CstLevels *levels, uint64_t capacity)
{
    return cst_div_up(capacity, levels->cluster_size * levels->l2_entries);
}

static gboolean check_capacity(const CstLevels *levels, uint64_t capacity, GError **error)
{
    uint64_t most = levels->cluster_size * levels->l2_entries * QCOW_MAX_L1;

    if (capacity == 0)
        return cst_fail(error, CST_ERROR_INVALID, _("a qcow image can't have 0 bytes"));
    return capacity <= most || cst_fail(error, CST_ERROR_INVALID,
                                        _("a qcow image can have at most %" PRIu64 " bytes"), most);
}

static gboolean set_name(CstLevels *levels, const char *name, const char *format, GError **error)
{
    Qcow *qcow = (Qcow *)levels;
    CstBlob *blob = levels->blocks.blob;
    uint64_t at = 0, len = name ? strlen(name) : 0;
    gboolean fresh;

    if (len > 0 && (!cst_levels_alloc(levels, len, &at, &fresh, error) ||
                    !cst_blob_pwrite(blob, name, len, at, error) ||
                    !cst_blocks_barrier(&levels->blocks, error)))
        return FALSE;
    cst_put_be64(qcow->raw + QCOW_AT_NAME, at);
    cst_put_be32(qcow->raw + QCOW_AT_NAME_LEN, (uint32_t)len);
    levels->name = (CstLevelsRange){at, len};
    return write_header(levels, error) && cst_blob_flush(blob, error);
}

static const CstLevelsFormat qcow_levels = {
    .big_endian = TRUE,
    .packed = TRUE,
    .write_header = write_header,
    .l1_entries = l1_entries,
    .check_capacity = check_capacity,
    .set_name = set_name,
};

static gboolean take_geometry(Qcow *qcow, CstBlob *blob, uint64_t capacity, GError **error)
{
    CstLevels *levels = &qcow->levels;

    if (!cst_blob_pread(blob, qcow->raw, sizeof(qcow->raw), 0, error))
        return FALSE;
    levels->cluster_size = UINT64_C(1) << qcow->raw[QCOW_AT_CLUSTER_BITS];
    levels->l2_entries = UINT64_C(1) << qcow->raw[QCOW_AT_L2_BITS];
    levels->align = CST_LEVELS_SECTOR;
    levels->l2_align = 1;
    levels->l1_offset = cst_be64(qcow->raw + QCOW_AT_L1);
    levels->l1_entries = l1_entries(levels, capacity);
    levels->header.length = QCOW_HEADER_LEN;
    levels->name = (CstLevelsRange){cst_be64(qcow->raw + QCOW_AT_NAME),
                                    cst_be32(qcow->raw + QCOW_AT_NAME_LEN)};
    if (levels->name.offset == 0)
        levels->name.length = 0;
    return cst_levels_check_l1(levels, blob, error);
}

CstImage *qcow_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                    GError **error)
{
    g_autofree Qcow *qcow = g_new0(Qcow, 1);
    g_auto(CstImageInfo) info = {0};

    if (!cst_image_inspect_for_open(blob, format, how, &info, error) ||
        !take_geometry(qcow, blob, info.capacity, error) ||
        !cst_levels_init(&qcow->levels, &qcow_levels, blob, how, info.capacity, error))
        return NULL;
    qcow->levels.blocks.lacks_backing = info.backing && !how->backing;
    return &g_steal_pointer(&qcow)->levels.blocks.image;
}

void qcow_close(CstImage *image)
{
    /* callers that need the errors have flushed before */
    if (image->writable)
        cst_blocks_write_back(&cst_levels_of(image)->blocks, NULL);
    cst_levels_clear(cst_levels_of(image));
    g_free(image);
}

gboolean qcow_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                    unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error)
{
    const CstImageOpen how = {.flags = flags ? CST_IMAGE_WRITE : 0};
    CstImage *image = qcow_open(format, blob, &how, error);
    gboolean ok = image && cst_levels_check(cst_levels_of(image), flags, ret_check, task, error);

    if (image)
        qcow_close(image);
    return ok;
}
