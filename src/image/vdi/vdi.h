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
 * leak. The blocks of the file stay without gaps, as other programs expect: nothing is ever given
 * up but by shrinking and repairing, which move blocks from the end into the gaps (compact.c).
 */
typedef struct {
    CstBlocks blocks;
    VdiHeader header;
    gboolean header_dirty;
    CstTable *map;
    uint8_t *used;      /**< bit by block of the file; NULL until a block is wanted */
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

/** Blocks that the file has room for, as its header and its length tell; the last may be cut
 *  off. */
gboolean vdi_room(const Vdi *vdi, uint32_t *ret_blocks, GError **error);

/* --- open.c ---------------------------------------------------------------------------------- */

CstImage *vdi_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                   GError **error);
void vdi_close(CstImage *image);
/** Opens what vdi_open() would, for checking: no CstImage head. */
Vdi *vdi_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how, GError **error);
void vdi_free(Vdi *vdi);
/** Lets the map be where the header says. */
void vdi_reset_map(Vdi *vdi);

/* --- map.c; lock held ------------------------------------------------------------------------ */

extern const CstBlocksOps vdi_ops;

gboolean vdi_corrupt(const Vdi *vdi, GError **error, const char *what);
#define vdi_corrupt(...) CST_GIVES_FALSE(vdi_corrupt(__VA_ARGS__))
/** Makes the bitmap of used blocks. CORRUPT when two entries share a block. */
gboolean vdi_find_used(Vdi *vdi, GError **error);
void vdi_forget_used(Vdi *vdi);
/** A block of the file; *ret_fresh: it reads as zeroes. */
gboolean vdi_alloc(Vdi *vdi, uint32_t *ret_block, gboolean *ret_fresh, GError **error);
gboolean vdi_write_header(Vdi *vdi, GError **error);
gboolean vdi_sync(CstBlocks *blocks, GError **error);

/* --- create.c, resize.c, compact.c, check.c -------------------------------------------------- */

gboolean vdi_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure, GError **error);
gboolean vdi_create(const CstImageFormat *format, CstBlob *blob, const CstImageCreate *options,
                    CstTask *task, GError **error);
gboolean vdi_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                    CstTask *task, GError **error);
/** Gives each block from @first to before @end that is nowhere a place, and reserves its space. */
gboolean vdi_preallocate(Vdi *vdi, uint32_t first, uint32_t end, CstPreallocation preallocation,
                         CstTask *task, GError **error);
/** Moves blocks into gaps, sets the count, cuts the file. Nobody else may use the image. */
gboolean vdi_compact(Vdi *vdi, CstTask *task, GError **error);
gboolean vdi_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                   unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);
