/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "blocks.h"
#include "header.h"
#include "page_cache.h"
#include "table.h"

/**
 * An opened VHD image.
 *
 * Write order: data, the bitmap of a new block and the footer after it, a barrier, then the table
 * and the bitmaps of older blocks. Between two syncs the end of the file may lack its footer; then
 * the copy at the start is used ("Dynamic Hard Disk Image").
 *
 * A new block of a dynamic disk is valid as a whole. In a differencing disk each sector becomes
 * valid when it is written; the parent has the other sectors.
 */
typedef struct {
    CstBlocks blocks;
    VpcHeader header;
    CstTable *table;       /**< NULL: fixed disk */
    CstPageCache *bitmaps; /**< sector bitmaps; NULL: fixed disk */
    gboolean end_known;
    uint64_t end;      /**< end of all blocks and metadata */
    uint64_t old_size; /**< file size when end was found: data beyond it is untouched */
    GArray *spare;     /**< uint64_t: places that were allocated and freed again */
    gboolean footer_dirty;
} Vpc;

static inline Vpc *vpc_of(CstImage *image)
{
    return (Vpc *)image;
}

static inline gboolean vpc_is_fixed(const Vpc *vpc)
{
    return vpc->header.kind == VPC_FIXED;
}

/** Fail with CORRUPT. @what: the translated damage. */
gboolean vpc_corrupt(const Vpc *vpc, GError **error, const char *what);
#define vpc_corrupt(...) CST_GIVES_FALSE(vpc_corrupt(__VA_ARGS__))

/* --- open.c ---------------------------------------------------------------------------------- */

/** The format's open callback, see format.h. */
CstImage *vpc_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                   GError **error);
/**
 * The format's close callback. Writes dirty data back and ignores failures, so callers flush
 * before.
 */
void vpc_close(CstImage *image);
/**
 * Open the image like vpc_open(), without the fields that cst_image_open() sets. Borrows @blob. The
 * caller frees the result with vpc_free().
 */
Vpc *vpc_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how, GError **error);
/** Free the image without writing anything. */
void vpc_free(Vpc *vpc);
/**
 * Replace the cached table with an empty cache for the table that the header describes. Unwritten
 * changes are lost.
 */
void vpc_reset_table(Vpc *vpc);

/* --- map.c; lock held ------------------------------------------------------------------------ */

extern const CstBlocksOps vpc_ops;

/** Set vpc->end to the end of all blocks and metadata, once, by a walk through the table. */
gboolean vpc_find_end(Vpc *vpc, GError **error);
/**
 * Allocate space for a block and its bitmap; *ret_host is the bitmap's offset. *ret_fresh: the
 * block reads as zeroes. LIMIT at 2 TiB.
 */
gboolean vpc_alloc(Vpc *vpc, uint64_t *ret_host, gboolean *ret_fresh, GError **error);
/**
 * Return TRUE if the range of the file overlaps the footer copy, the header, the table or a
 * locator.
 */
gboolean vpc_meets_metadata(const Vpc *vpc, uint64_t host, uint64_t length);
/**
 * Write all dirty data in the order above: footer, barrier, bitmaps, table. No barrier at the end.
 * Does nothing for a fixed disk.
 */
gboolean vpc_sync(CstBlocks *blocks, GError **error);
/**
 * Write the footer to vpc->end, or to the last sector of a longer file. vpc->end must be known. No
 * barrier.
 */
gboolean vpc_write_footer(Vpc *vpc, GError **error);

/* --- bitmap.c; lock held --------------------------------------------------------------------- */

/**
 * Return the cache of bitmaps for an image that is being opened. The caller frees it with
 * cst_page_cache_free().
 */
CstPageCache *vpc_bitmap_new_cache(Vpc *vpc);
/**
 * Set *ret_valid to whether sector @first of the block at @host is valid. Set *ret_run to the
 * number of equal sectors from it on, at most @count.
 */
gboolean vpc_bitmap_run(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count,
                        gboolean *ret_valid, uint32_t *ret_run, GError **error);
/** Mark sectors of an older block valid; the bitmap is written with the next sync. */
gboolean vpc_bitmap_set(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count, GError **error);
/** Write the bitmap of a new block at once; only the given sectors are valid. */
gboolean vpc_bitmap_write_new(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count,
                              GError **error);

/* --- create.c, resize.c, compact.c, rebase.c, check.c; for callbacks see format.h ------------- */

gboolean vpc_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                    CstTask *task, GError **error);
gboolean vpc_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                    CstTask *task, GError **error);
gboolean vpc_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error);
/**
 * Allocate a block that reads as zeroes for each entry of [@first, @end) without a block, and
 * reserve its space. Lock held; the table is written with the next sync.
 */
gboolean vpc_preallocate(Vpc *vpc, uint32_t first, uint32_t end, CstPreallocation preallocation,
                         CstTask *task, GError **error);

/** A block or metadata region, and its place. */
typedef struct {
    uint64_t host;
    uint32_t block; /**< VPC_NOWHERE: metadata */
    uint64_t length;
} VpcPiece;

/**
 * Return all blocks whose bitmaps lie in the file, and the metadata (VpcPiece), ordered by offset.
 * The caller frees the result with g_array_unref().
 */
GArray *vpc_pieces(Vpc *vpc, GError **error);
/**
 * Move blocks into gaps and truncate the file. The image must have no other user during the call.
 * CORRUPT if blocks overlap.
 */
gboolean vpc_compact(Vpc *vpc, CstTask *task, GError **error);
gboolean vpc_set_backing(CstImage *image, const char *name, const char *format, CstImage *parent,
                         GError **error);
gboolean vpc_empty(CstImage *image, CstTask *task, GError **error);
gboolean vpc_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                   unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);
