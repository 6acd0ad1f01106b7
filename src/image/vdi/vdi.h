/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "blocks.h"
#include "header.h"
#include "table.h"

/**
 * An opened VDI image.
 *
 * Order of writing: data and the header's count of allocated blocks, a barrier, the map. The count
 * goes first because a writer that trusts it takes the block it names next; too high a count is a
 * leak. The blocks of the file stay without gaps, as other programs expect: only shrinking and
 * repairing free blocks, and they move others from the end of the file into the gaps (compact.c).
 */
typedef struct {
    CstBlocks blocks;
    VdiHeader header;
    gboolean header_dirty;
    CstTable *map;
    uint8_t *used;      /**< one bit for each block of the file; NULL until the first allocation */
    uint32_t used_bits; /**< of used */
    uint32_t free_hint; /**< no block below is free */
    uint32_t high;      /**< one past the last block that was ever used */
    uint64_t old_size;  /**< of the file, when used was made: beyond is untouched */
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
 * Returns in *ret_blocks how many blocks the file can hold by its header and its length, the last
 * one perhaps in part.
 */
gboolean vdi_room(const Vdi *vdi, uint32_t *ret_blocks, GError **error);

/* --- open.c ---------------------------------------------------------------------------------- */

/** The format's callback, see format.h. */
CstImage *vdi_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                   GError **error);
/** The format's callback; writes back what is dirty and ignores failures: flush before. */
void vdi_close(CstImage *image);
/**
 * Opens what vdi_open() would, for checking: without the fields that cst_image_open() sets. Borrows
 * @blob; free with vdi_free().
 */
Vdi *vdi_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how, GError **error);
/** Frees the image without writing anything. */
void vdi_free(Vdi *vdi);
/**
 * Replaces the cached map by an empty cache for the map that the header describes. Changes that
 * were not written are lost.
 */
void vdi_reset_map(Vdi *vdi);

/* --- map.c; lock held ------------------------------------------------------------------------ */

extern const CstBlocksOps vdi_ops;

/** Fails with CORRUPT. @what: the translated damage. */
gboolean vdi_corrupt(const Vdi *vdi, GError **error, const char *what);
#define vdi_corrupt(...) CST_GIVES_FALSE(vdi_corrupt(__VA_ARGS__))
/**
 * Fills the bitmap of used blocks, once. CORRUPT when two entries share a block or one lies outside
 * the file.
 */
gboolean vdi_find_used(Vdi *vdi, GError **error);
/** Drops the bitmap; the next vdi_find_used() fills it anew. */
void vdi_forget_used(Vdi *vdi);
/**
 * Takes the lowest free block of the file. *ret_fresh: it reads as zeroes. The caller has an entry
 * that refers to no block, so a free one exists.
 */
gboolean vdi_alloc(Vdi *vdi, uint32_t *ret_block, gboolean *ret_fresh, GError **error);
/** Writes the header's sector, without a barrier. */
gboolean vdi_write_header(Vdi *vdi, GError **error);
/** Writes what is dirty in the order above: header, barrier, map. No barrier at the end. */
gboolean vdi_sync(CstBlocks *blocks, GError **error);

/* --- create.c, resize.c, compact.c, check.c; uncommented ones: see format.h ------------------ */

gboolean vdi_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error);
gboolean vdi_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                    CstTask *task, GError **error);
gboolean vdi_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                    CstTask *task, GError **error);
/**
 * Gives each entry of [@first, @end) that has no block a block that reads as zeroes, and reserves
 * its space. Lock held; the map is written with the next sync.
 */
gboolean vdi_preallocate(Vdi *vdi, uint32_t first, uint32_t end, CstPreallocation preallocation,
                         CstTask *task, GError **error);
/**
 * Moves blocks into gaps, sets the count and truncates the file. Nobody else may use the image
 * while it runs.
 */
gboolean vdi_compact(Vdi *vdi, CstTask *task, GError **error);
gboolean vdi_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                   unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);
