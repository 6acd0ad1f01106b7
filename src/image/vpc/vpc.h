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

gboolean vpc_corrupt(const Vpc *vpc, GError **error, const char *what);
#define vpc_corrupt(...) CST_GIVES_FALSE(vpc_corrupt(__VA_ARGS__))

/* --- open.c ---------------------------------------------------------------------------------- */

CstImage *vpc_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                   GError **error);
void vpc_close(CstImage *image);
Vpc *vpc_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how, GError **error);
void vpc_free(Vpc *vpc);
/** Lets the table be where the header says. */
void vpc_reset_table(Vpc *vpc);

/* --- map.c; lock held ------------------------------------------------------------------------ */

extern const CstBlocksOps vpc_ops;

/** Finds out where blocks can be added. */
gboolean vpc_find_end(Vpc *vpc, GError **error);
/** Room for a block; *ret_fresh: it reads as zeroes. */
gboolean vpc_alloc(Vpc *vpc, uint64_t *ret_host, gboolean *ret_fresh, GError **error);
/** The range meets metadata. */
gboolean vpc_meets_metadata(const Vpc *vpc, uint64_t host, uint64_t length);
gboolean vpc_sync(CstBlocks *blocks, GError **error);
/** Writes the footer at the end of the file. */
gboolean vpc_write_footer(Vpc *vpc, GError **error);

/* --- bitmap.c; lock held --------------------------------------------------------------------- */

/** The cache for an image that is being opened. */
CstPageCache *vpc_bitmap_new_cache(Vpc *vpc);
/** Whether sectors of the block at @host, from @first on (at most @count), are valid, and *ret_run
 * how many alike. */
gboolean vpc_bitmap_run(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count,
                        gboolean *ret_valid, uint32_t *ret_run, GError **error);
/** Makes sectors valid; written with the next sync. */
gboolean vpc_bitmap_set(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count, GError **error);
/** Writes the bitmap of a new block, of which these sectors are valid, at once. */
gboolean vpc_bitmap_write_new(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count,
                              GError **error);

/* --- create.c, resize.c, compact.c, rebase.c, check.c
 * -------------------------------------------------- */

gboolean vpc_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                    CstTask *task, GError **error);
gboolean vpc_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                    CstTask *task, GError **error);
gboolean vpc_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error);
/** Gives each block from @first to before @end that is nowhere a place, and reserves its space. */
gboolean vpc_preallocate(Vpc *vpc, uint32_t first, uint32_t end, CstPreallocation preallocation,
                         CstTask *task, GError **error);

/** A block, and where it is. */
typedef struct {
    uint64_t host;
    uint32_t block; /**< VPC_NOWHERE: no block but metadata */
    uint64_t length;
} VpcPiece;

/** All blocks whose places are in the file, and the metadata, in the order of the file. */
GArray *vpc_pieces(Vpc *vpc, GError **error);
/** Moves blocks into gaps and cuts the file. Nobody else may use the image; no blocks overlap. */
gboolean vpc_compact(Vpc *vpc, CstTask *task, GError **error);
gboolean vpc_set_backing(CstImage *image, const char *name, const char *format, CstImage *parent,
                         GError **error);
gboolean vpc_empty(CstImage *image, CstTask *task, GError **error);
gboolean vpc_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                   unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);
