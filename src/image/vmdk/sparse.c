/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A hosted sparse extent as the rest of the format uses it: opening, closing and the table of its
 * callbacks. Most of them call blocks.c, which uses sparse_map.c to find grains. The lock of the
 * CstBlocks guards tables and allocation.
 */
#include "sparse.h"

#include <base/units.h>

#define EXTENT_TABLES 4096 /* maximum steps of one lookup */

void vmdk_sparse_close(VmdkExtent *extent)
{
    VmdkSparse *sparse = vmdk_sparse_of(extent);

    vmdk_tables_free(sparse->tables);
    cst_blocks_clear(&sparse->blocks);
    cst_blob_unref(extent->blob);
    g_free(sparse);
}

/* --- the extent's callbacks ------------------------------------------------------------------- */

static CstImage *image_of(VmdkExtent *extent)
{
    return &vmdk_sparse_of(extent)->blocks.image;
}

static gboolean sparse_pread(VmdkExtent *extent, void *buf, size_t len, uint64_t offset,
                             GError **error)
{
    return cst_blocks_pread(image_of(extent), buf, len, offset, error);
}

/*
 * Counts the grains from @grain on, at most @limit, that are equal: without a place, zero, or
 * consecutive in the file.
 */
static gboolean count_alike(VmdkSparse *sparse, uint64_t grain, uint64_t limit, uint64_t *ret_count,
                            GError **error)
{
    uint32_t first = 0, entry = 0;
    uint64_t done = 0, count = 0;
    gboolean holds = TRUE;

    if (!vmdk_tables_get(sparse->tables, grain, limit, &first, &done, error))
        return FALSE;
    for (unsigned steps = 0; done < limit && steps < EXTENT_TABLES; steps++) {
        uint64_t expected = first <= VMDK_GTE_ZERO ? first : first + done * sparse->header.grain;

        if (!vmdk_tables_get(sparse->tables, grain + done, limit - done, &entry, &count, error))
            return FALSE;
        if (entry != expected)
            break;
        if (first > VMDK_GTE_ZERO && !vmdk_sparse_holds(sparse, grain + done, entry, &holds, error))
            return FALSE;
        if (!holds)
            break;
        done += count;
    }
    *ret_count = done;
    return TRUE;
}

static gboolean sparse_extent(VmdkExtent *extent, uint64_t offset, uint64_t length,
                              CstExtent *ret_extent, GError **error)
{
    VmdkSparse *sparse = vmdk_sparse_of(extent);
    CstBlocks *blocks = &sparse->blocks;
    uint64_t grain = offset / blocks->block_size, limit, count = 0;
    CstExtent found;
    gboolean ok;
    CstRun run;

    g_mutex_lock(&blocks->lock);
    ok = vmdk_sparse_map(blocks, offset, length, &run, error);
    g_mutex_unlock(&blocks->lock);
    /* Queries the file first, because only grains before its next hole need to be counted. */
    if (!ok || !cst_blocks_run_extent(blocks, offset, &run, &found, error))
        return FALSE;
    limit = cst_div_up(offset + found.length, blocks->block_size) - grain;
    g_mutex_lock(&blocks->lock);
    ok = count_alike(sparse, grain, limit, &count, error);
    g_mutex_unlock(&blocks->lock);
    if (!ok)
        return FALSE;
    found.length = MIN(found.length, (grain + count) * blocks->block_size - offset);
    *ret_extent = found;
    return TRUE;
}

static gboolean sparse_locate(VmdkExtent *extent, uint64_t offset, uint64_t length,
                              CstBlobLocation *ret_location, GError **error)
{
    return cst_blocks_locate(image_of(extent), offset, length, ret_location, error);
}

static gboolean sparse_pwrite(VmdkExtent *extent, const void *buf, size_t len, uint64_t offset,
                              GError **error)
{
    return cst_blocks_pwrite(image_of(extent), buf, len, offset, error);
}

static gboolean sparse_zero(VmdkExtent *extent, uint64_t offset, uint64_t length, unsigned flags,
                            GError **error)
{
    return cst_blocks_zero(image_of(extent), offset, length, flags, error);
}

static gboolean sparse_discard(VmdkExtent *extent, uint64_t offset, uint64_t length, GError **error)
{
    return cst_blocks_discard(image_of(extent), offset, length, error);
}

static gboolean sparse_flush(VmdkExtent *extent, GError **error)
{
    return cst_blocks_flush(image_of(extent), error);
}

/*
 * Clears entry by entry: after a power cut the grains that are not yet cleared still have their
 * data.
 */
static gboolean sparse_empty(VmdkExtent *extent, CstTask *task, GError **error)
{
    VmdkSparse *sparse = vmdk_sparse_of(extent);
    uint64_t grains = cst_div_up(extent->length, sparse->blocks.block_size), count = 0;
    uint32_t entry = 0;
    gboolean ok = TRUE;

    g_mutex_lock(&sparse->blocks.lock);
    for (uint64_t grain = 0; ok && grain < grains; grain += count) {
        ok = cst_task_check(task, error) &&
             vmdk_tables_get(sparse->tables, grain, grains - grain, &entry, &count, error);
        for (uint64_t i = 0; ok && entry != 0 && i < count; i++)
            ok = vmdk_tables_set(sparse->tables, grain + i, 0, error);
    }
    g_mutex_unlock(&sparse->blocks.lock);
    return ok && sparse_flush(extent, error);
}

static const VmdkExtentOps sparse_ops = {
    .pread = sparse_pread,
    .extent = sparse_extent,
    .locate = sparse_locate,
    .pwrite = sparse_pwrite,
    .zero = sparse_zero,
    .discard = sparse_discard,
    .flush = sparse_flush,
    .write_back = vmdk_sparse_write_back,
    .resize = vmdk_sparse_resize,
    .empty = sparse_empty,
    .close = vmdk_sparse_close,
};

VmdkExtent *vmdk_sparse_new(CstBlob *blob, const VmdkHeader *header, const VmdkExtentHow *how,
                            GError **error)
{
    VmdkSparse *sparse = g_new0(VmdkSparse, 1);
    uint64_t size = 0, grain = header->grain * VMDK_SECTOR;

    if (!cst_blob_get_size(blob, &size, error) ||
        !cst_blocks_init(&sparse->blocks, &vmdk_sparse_blocks, blob, &how->image, error)) {
        cst_blob_unref(blob);
        g_free(sparse);
        return NULL;
    }
    sparse->blocks.block_size = grain;
    sparse->blocks.backing_start = how->start;
    sparse->blocks.lacks_backing = how->lacks_backing;
    sparse->blocks.image.capacity = how->length;
    sparse->extent = (VmdkExtent){&sparse_ops, blob, how->start, how->length, how->access};
    sparse->header = *header;
    sparse->end = cst_div_up(MAX(size, header->overhead * VMDK_SECTOR), grain) * grain;
    if (!vmdk_sparse_reset_tables(sparse, error)) {
        vmdk_sparse_close(&sparse->extent);
        return NULL;
    }
    return &sparse->extent;
}
