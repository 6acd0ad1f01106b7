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
 * Order of writing: data, the bitmap of a new block and the footer behind it, a barrier, then the
 * table and the bitmaps of older blocks. Between two syncs the end of the file may lack its footer:
 * the copy in front is there for that ("Dynamic Hard Disk Image").
 *
 * A block that is new in a dynamic disk is valid as a whole. In a differencing disk each sector
 * becomes valid when it is written; the others are the parent's.
 */
typedef struct {
    CstBlocks blocks;
    VpcHeader header;
    CstTable *table;       /**< NULL: fixed */
    CstPageCache *bitmaps; /**< sector bitmaps; NULL: fixed */
    gboolean end_known;
    uint64_t end;      /**< of all blocks and metadata */
    uint64_t old_size; /**< of the file, when end was looked for: beyond is untouched */
    GArray *spare;     /**< uint64_t: places that were given out and taken back */
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

/** Fails with CORRUPT. @what: the translated damage. */
gboolean vpc_corrupt(const Vpc *vpc, GError **error, const char *what);
#define vpc_corrupt(...) CST_GIVES_FALSE(vpc_corrupt(__VA_ARGS__))

/* --- open.c ---------------------------------------------------------------------------------- */

/** The format's callback, see format.h. */
CstImage *vpc_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                   GError **error);
/** The format's callback; writes back what is dirty and ignores failures: flush before. */
void vpc_close(CstImage *image);
/**
 * Opens what vpc_open() would, without the fields that cst_image_open() sets. Borrows @blob; free
 * with vpc_free().
 */
Vpc *vpc_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how, GError **error);
/** Frees the image without writing anything. */
void vpc_free(Vpc *vpc);
/**
 * Replaces the cached table by an empty cache for the table that the header describes. Changes that
 * were not written are lost.
 */
void vpc_reset_table(Vpc *vpc);

/* --- map.c; lock held ------------------------------------------------------------------------ */

extern const CstBlocksOps vpc_ops;

/** Sets vpc->end to the end of all blocks and metadata, once, by a walk through the table. */
gboolean vpc_find_end(Vpc *vpc, GError **error);
/**
 * Takes space for a block and its bitmap; *ret_host is the bitmap's offset. *ret_fresh: the block
 * reads as zeroes. LIMIT at 2 TiB.
 */
gboolean vpc_alloc(Vpc *vpc, uint64_t *ret_host, gboolean *ret_fresh, GError **error);
/** Returns TRUE when the range of the file overlaps footer copy, header, table or a locator. */
gboolean vpc_meets_metadata(const Vpc *vpc, uint64_t host, uint64_t length);
/**
 * Writes what is dirty in the order above: footer, barrier, bitmaps, table. No barrier at the end.
 * Does nothing for a fixed disk.
 */
gboolean vpc_sync(CstBlocks *blocks, GError **error);
/**
 * Writes the footer to vpc->end, or to the last sector of a file that is longer. vpc->end is known.
 * No barrier.
 */
gboolean vpc_write_footer(Vpc *vpc, GError **error);

/* --- bitmap.c; lock held --------------------------------------------------------------------- */

/**
 * Returns the cache of bitmaps for an image that is being opened; free it with
 * cst_page_cache_free().
 */
CstPageCache *vpc_bitmap_new_cache(Vpc *vpc);
/**
 * Returns whether sector @first of the block at @host is valid, and in *ret_run how many sectors
 * from it on, at most @count, are alike.
 */
gboolean vpc_bitmap_run(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count,
                        gboolean *ret_valid, uint32_t *ret_run, GError **error);
/** Marks sectors of an older block valid; the bitmap is written with the next sync. */
gboolean vpc_bitmap_set(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count, GError **error);
/** Writes the bitmap of a new block at once: these sectors are valid and no others. */
gboolean vpc_bitmap_write_new(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count,
                              GError **error);

/* --- create.c, resize.c, compact.c, rebase.c, check.c; uncommented ones: see format.h --------- */

gboolean vpc_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                    CstTask *task, GError **error);
gboolean vpc_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                    CstTask *task, GError **error);
gboolean vpc_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error);
/**
 * Gives each entry of [@first, @end) that has no block a block that reads as zeroes, and reserves
 * its space. Lock held; the table is written with the next sync.
 */
gboolean vpc_preallocate(Vpc *vpc, uint32_t first, uint32_t end, CstPreallocation preallocation,
                         CstTask *task, GError **error);

/** A block, and where it is. */
typedef struct {
    uint64_t host;
    uint32_t block; /**< VPC_NOWHERE: no block but metadata */
    uint64_t length;
} VpcPiece;

/**
 * Returns all blocks whose bitmaps lie in the file, and the metadata (VpcPiece), ordered by offset.
 * g_array_unref() it.
 */
GArray *vpc_pieces(Vpc *vpc, GError **error);
/**
 * Moves blocks into gaps and truncates the file. Nobody else may use the image while it runs.
 * CORRUPT when blocks overlap.
 */
gboolean vpc_compact(Vpc *vpc, CstTask *task, GError **error);
gboolean vpc_set_backing(CstImage *image, const char *name, const char *format, CstImage *parent,
                         GError **error);
gboolean vpc_empty(CstImage *image, CstTask *task, GError **error);
gboolean vpc_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                   unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);
