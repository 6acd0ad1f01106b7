/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "vmdk.h"

/**
 * A hosted sparse extent whose grains are not compressed.
 *
 * Order of writing: data, a barrier, grain tables, a barrier, directories. Grains get their places
 * at the end of the file, and keep them: what is discarded becomes a hole of the file. So the worst
 * after a power cut is a leaked grain, or a redundant table that lags behind.
 */
typedef struct {
    CstBlocks blocks;
    VmdkExtent extent;
    VmdkHeader header;
    VmdkTables *tables;
    uint64_t end; /**< of the file as far as it is taken; a multiple of the grain. Bytes */
} VmdkSparse;

static inline VmdkSparse *vmdk_sparse_of(VmdkExtent *extent)
{
    return (VmdkSparse *)((char *)extent - G_STRUCT_OFFSET(VmdkSparse, extent));
}

/* --- sparse_map.c: where grains are; lock held --- */

extern const CstBlocksOps vmdk_sparse_blocks;

/**
 * Finds the run of alike sectors that begins at @offset, inside of one grain; see CstBlocksOps.map.
 */
gboolean vmdk_sparse_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                         GError **error);

/**
 * Opens an extent by its sound @header. how->length is set. Takes over @blob's reference, also when
 * it fails.
 */
VmdkExtent *vmdk_sparse_new(CstBlob *blob, const VmdkHeader *header, const VmdkExtentHow *how,
                            GError **error);
/** Frees the extent without writing anything. */
void vmdk_sparse_close(VmdkExtent *extent);
/**
 * Replaces the cached tables by empty caches for the tables that the header describes. Changes that
 * were not written are lost. The old ones stay on failure.
 */
gboolean vmdk_sparse_reset_tables(VmdkSparse *sparse, GError **error);
/** Writes out what is dirty; no barrier at the end. Takes the lock. */
gboolean vmdk_sparse_write_back(VmdkExtent *extent, GError **error);
/** Takes sectors at the end of the file, rounded up to whole grains. LIMIT at 2 TiB. Lock held. */
gboolean vmdk_sparse_take(VmdkSparse *sparse, uint64_t sectors, uint64_t *ret_sector,
                          GError **error);
/** Fails with CORRUPT. @what: the translated damage. */
gboolean vmdk_sparse_corrupt(const VmdkSparse *sparse, GError **error, const char *what);
#define vmdk_sparse_corrupt(...) CST_GIVES_FALSE(vmdk_sparse_corrupt(__VA_ARGS__))
/**
 * Sets *ret_holds when @grain can lie at @sector: inside of the file and not over metadata. FALSE:
 * the file's size can't be read.
 */
gboolean vmdk_sparse_holds(const VmdkSparse *sparse, uint64_t grain, uint32_t sector,
                           gboolean *ret_holds, GError **error);
/** As VmdkExtentOps.resize. */
gboolean vmdk_sparse_resize(VmdkExtent *extent, uint64_t length, CstPreallocation preallocation,
                            CstTask *task, GError **error);
/**
 * Gives every grain of the range that reads as zeroes a place and reserves its space. Takes the
 * lock.
 */
gboolean vmdk_sparse_preallocate(VmdkSparse *sparse, uint64_t offset, uint64_t length,
                                 CstPreallocation preallocation, CstTask *task, GError **error);
