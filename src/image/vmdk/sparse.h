/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "vmdk.h"

/**
 * A hosted sparse extent whose grains are not compressed.
 *
 * Write order: data, a barrier, grain tables, a barrier, directories. Grains are allocated at the
 * end of the file and keep their places: a discarded grain becomes a hole of the file. So a power
 * cut can at worst leave a leaked grain or an outdated redundant table.
 */
typedef struct {
    CstBlocks blocks;
    VmdkExtent extent;
    VmdkHeader header;
    VmdkTables *tables;
    uint64_t end; /**< end of the allocated part of the file, bytes; a multiple of the grain */
} VmdkSparse;

static inline VmdkSparse *vmdk_sparse_of(VmdkExtent *extent)
{
    return (VmdkSparse *)((char *)extent - G_STRUCT_OFFSET(VmdkSparse, extent));
}

/* --- sparse_map.c: places of grains; lock held --- */

extern const CstBlocksOps vmdk_sparse_blocks;

/**
 * Find the run of sectors with equal properties that begins at @offset, within one grain; see
 * CstBlocksOps.map.
 */
gboolean vmdk_sparse_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                         GError **error);

/**
 * Open an extent by its sound @header. how->length must be set. Consumes @blob's reference, also on
 * failure.
 */
VmdkExtent *vmdk_sparse_new(CstBlob *blob, const VmdkHeader *header, const VmdkExtentHow *how,
                            GError **error);
/** Free the extent without writing anything. */
void vmdk_sparse_close(VmdkExtent *extent);
/**
 * Replace the cached tables with empty caches for the tables that the header describes. Unwritten
 * changes are lost. On failure the old caches stay.
 */
gboolean vmdk_sparse_reset_tables(VmdkSparse *sparse, GError **error);
/** Write all dirty data and tables; no barrier at the end. Acquires the lock. */
gboolean vmdk_sparse_write_back(VmdkExtent *extent, GError **error);
/**
 * Allocate sectors at the end of the file, rounded up to whole grains. LIMIT at 2 TiB. Lock held.
 */
gboolean vmdk_sparse_take(VmdkSparse *sparse, uint64_t sectors, uint64_t *ret_sector,
                          GError **error);
/** Fail with CORRUPT. @what: the translated damage. */
gboolean vmdk_sparse_corrupt(const VmdkSparse *sparse, GError **error, const char *what);
#define vmdk_sparse_corrupt(...) CST_GIVES_FALSE(vmdk_sparse_corrupt(__VA_ARGS__))
/**
 * Set *ret_holds to TRUE if @grain can lie at @sector: within the file and not over metadata.
 * Return: FALSE if the file's size can't be read.
 */
gboolean vmdk_sparse_holds(const VmdkSparse *sparse, uint64_t grain, uint32_t sector,
                           gboolean *ret_holds, GError **error);
/** Implements VmdkExtentOps.resize. */
gboolean vmdk_sparse_resize(VmdkExtent *extent, uint64_t length, CstPreallocation preallocation,
                            CstTask *task, GError **error);
/**
 * Allocate a place for every grain of the range that reads as zeroes, and reserve its space.
 * Acquires the lock.
 */
gboolean vmdk_sparse_preallocate(VmdkSparse *sparse, uint64_t offset, uint64_t length,
                                 CstPreallocation preallocation, CstTask *task, GError **error);
