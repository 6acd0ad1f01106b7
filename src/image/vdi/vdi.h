/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "blocks.h"
#include "header.h"
#include "table.h"

/**
 * An opened VDI image.
 *
 * Write order: data and the header's count of allocated blocks, a barrier, the map. The count is
 * written first, because a writer that trusts it allocates the next block after it; a too high
 * count is a leak. The blocks of the file have no gaps, because other programs expect this. Only
 * shrinking and repairing free blocks; they fill the gaps with blocks from the end of the file
 * (compact.c).
 */
typedef struct {
    CstBlocks blocks;
    VdiHeader header;
    gboolean header_dirty;
    CstTable *map;
    uint8_t *used;      /**< one bit for each block of the file; NULL until the first allocation */
    uint32_t used_bits; /**< number of bits of used */
    uint32_t free_hint; /**< all blocks below are used */
    uint32_t high;      /**< one past the highest block that was ever used */
    uint64_t old_size;  /**< file size when used was filled: data beyond it is untouched */
} Vdi;

static inline Vdi *vdi_of(CstImage *image)
{
    return (Vdi *)image;
}

static inline uint64_t vdi_place(const Vdi *vdi, uint32_t block)
{
    return vdi->header.offset_data + (uint64_t)block * vdi->header.block_size;
}

/**
 * Set *ret_blocks to the number of blocks that the file can hold by its header and its length. The
 * last one may be partial.
 */
gboolean vdi_room(const Vdi *vdi, uint32_t *ret_blocks, GError **error);

/* --- open.c ---------------------------------------------------------------------------------- */

/** The format's open callback, see format.h. */
CstImage *vdi_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                   GError **error);
/**
 * The format's close callback. Writes dirty data back and ignores failures, so callers flush
 * before.
 */
void vdi_close(CstImage *image);
/**
 * Open the image like vdi_open(), for checking: without the fields that cst_image_open() sets.
 * Borrows @blob. The caller frees the result with vdi_free().
 */
Vdi *vdi_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how, GError **error);
/** Free the image without writing anything. */
void vdi_free(Vdi *vdi);
/**
 * Replace the cached map with an empty cache for the map that the header describes. Unwritten
 * changes are lost.
 */
void vdi_reset_map(Vdi *vdi);

/* --- map.c; lock held ------------------------------------------------------------------------ */

extern const CstBlocksOps vdi_ops;

/** Fail with CORRUPT. @what: the translated damage. */
gboolean vdi_corrupt(const Vdi *vdi, GError **error, const char *what);
#define vdi_corrupt(...) CST_GIVES_FALSE(vdi_corrupt(__VA_ARGS__))
/**
 * Fill the bitmap of used blocks, once. CORRUPT if two entries share a block or a block lies
 * outside the file.
 */
gboolean vdi_find_used(Vdi *vdi, GError **error);
/** Drop the bitmap; the next vdi_find_used() fills it again. */
void vdi_forget_used(Vdi *vdi);
/**
 * Allocate the lowest free block of the file. *ret_fresh: it reads as zeroes. The caller has an
 * entry that refers to no block, so a free block exists.
 */
gboolean vdi_alloc(Vdi *vdi, uint32_t *ret_block, gboolean *ret_fresh, GError **error);
/** Write the header's sector, without a barrier. */
gboolean vdi_write_header(Vdi *vdi, GError **error);
/** Write all dirty data in the order above: header, barrier, map. No barrier at the end. */
gboolean vdi_sync(CstBlocks *blocks, GError **error);

/* --- create.c, resize.c, compact.c, check.c; for callbacks see format.h ---------------------- */

gboolean vdi_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error);
gboolean vdi_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                    CstTask *task, GError **error);
gboolean vdi_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                    CstTask *task, GError **error);
/**
 * Allocate a block that reads as zeroes for each entry of [@first, @end) without a block, and
 * reserve its space. Lock held; the map is written with the next sync.
 */
gboolean vdi_preallocate(Vdi *vdi, uint32_t first, uint32_t end, CstPreallocation preallocation,
                         CstTask *task, GError **error);
/**
 * Move blocks into gaps, set the count and truncate the file. The image must have no other user
 * during the call.
 */
gboolean vdi_compact(Vdi *vdi, CstTask *task, GError **error);
gboolean vdi_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                   unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);
