/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "blocks.h"
#include "page_cache.h"

/**
 * What qcow (version 1) and QED have in common: an L1 table holds the offsets of L2 tables, which
 * hold the offsets of clusters; all entries have 64 bits, and 0 is nowhere. A format describes the
 * rest: the header, the byte order, what else an entry can say.
 *
 * Order of writing: data and new L2 tables filled with zeroes, a barrier, L2 tables, a barrier, the
 * L1 table. So no table on the disk refers to what is not there, and a power cut leaves clusters
 * that nothing refers to, at worst.
 */
typedef struct CstLevels CstLevels;

#define CST_LEVELS_SECTOR   512u
#define CST_LEVELS_MAX_NAME 1023u /**< bytes of a backing file's name */

/** What an L2 entry says. */
typedef struct {
    CstRunKind kind; /**< CST_RUN_BACKING: nowhere */
    uint64_t host;   /**< of the first byte */
    uint64_t packed; /**< bytes of a compressed cluster */
} CstLevelsEntry;

/** Bytes of the file that are neither tables nor clusters. */
typedef struct {
    uint64_t offset, length;
} CstLevelsRange;

typedef struct {
    gboolean big_endian;
    gboolean zero_entries; /**< the entry 1 reads as zeroes */
    gboolean packed;       /**< the highest bit marks a compressed cluster */
    /**
     * Called with the lock held before a cluster is allocated or a table changed; NULL: nothing to
     * do. May write the header; must be cheap when there is nothing to do.
     */
    gboolean (*begin)(CstLevels *levels, GError **error);
    /** Writes the header with levels->image.capacity and levels->l1_offset, in one sector. */
    gboolean (*write_header)(CstLevels *levels, GError **error);
    /** Number of entries of an L1 table for @capacity; the table can't move where it is always the
     *  same. */
    uint64_t (*l1_entries)(const CstLevels *levels, uint64_t capacity);
    /** INVALID when the format has no images of this capacity. */
    gboolean (*check_capacity)(const CstLevels *levels, uint64_t capacity, GError **error);
    /**
     * Called with the lock held and nothing waiting to be written: enters the name of the backing
     * file, which is no longer than CST_LEVELS_MAX_NAME, and its format. NULL: there is none
     * below. On the disk when it returns, and the name is there before the header refers to it.
     */
    gboolean (*set_name)(CstLevels *levels, const char *name, const char *format, GError **error);
} CstLevelsFormat;

/** Head of the format's struct. */
struct CstLevels {
    CstBlocks blocks;
    const CstLevelsFormat *format;
    uint64_t cluster_size;
    uint64_t align;      /**< of a data cluster in the file */
    uint64_t l2_align;   /**< of an L2 table */
    uint64_t l2_entries; /**< of one table, a power of two */
    uint64_t l1_offset, l1_entries;
    CstLevelsRange header; /**< never given up */
    CstLevelsRange name;   /**< of the backing file, outside of header; length 0: none */

    CstPageCache *cache; /**< of both tables */

    gboolean end_known;
    uint64_t end;      /**< of all that is in use: allocations go on here */
    uint64_t old_size; /**< of the file when end was found: what is beyond reads as zeroes */
    GArray *spare;     /**< uint64_t: clusters that were allocated and taken back */
};

static inline CstLevels *cst_levels_of(CstImage *image)
{
    return (CstLevels *)image;
}

/** Opened for reading only: nothing is allocated, so what lies over what does no further harm. */
static inline gboolean cst_levels_is_read_only(const CstLevels *levels)
{
    return levels->blocks.block_size == CST_BLOCKS_ANY_LENGTH;
}

static inline uint64_t cst_levels_l2_bytes(const CstLevels *levels)
{
    return levels->l2_entries * 8;
}

/**
 * Sets up the common part of an opened image. The caller has set the geometry, and checked it as
 * far as memory and overflows go. Sets the image's capacity to @capacity (bytes). @blob and
 * @how->backing are borrowed. On failure there is nothing to clear.
 */
gboolean cst_levels_init(CstLevels *levels, const CstLevelsFormat *format, CstBlob *blob,
                         const CstImageOpen *how, uint64_t capacity, GError **error);
/** Frees the cache, the lock and the list of spare clusters, not @levels itself. */
void cst_levels_clear(CstLevels *levels);

/* --- entry.c ---------------------------------------------------------------------------------- */

/** The bit of an entry that marks a compressed cluster, in a format that has those. */
#define CST_LEVELS_PACKED (UINT64_C(1) << 63)

/** How far up the length of a compressed cluster stands; it has as many bits as an offset inside of
 *  a cluster, right below CST_LEVELS_PACKED. */
static inline unsigned cst_levels_length_shift(const CstLevels *levels)
{
    return 63 - (unsigned)__builtin_ctzll(levels->cluster_size);
}

/** Decodes the entry @raw. FALSE, without an error, when it is damaged. */
gboolean cst_levels_decode(const CstLevels *levels, uint64_t raw, CstLevelsEntry *ret_entry);

/** Fails with CORRUPT: the image is damaged, as the translated text @what says. Always FALSE. */
gboolean cst_levels_corrupt(const CstLevels *levels, GError **error, const char *what);
#define cst_levels_corrupt(...) CST_GIVES_FALSE(cst_levels_corrupt(__VA_ARGS__))

/* --- tables.c: the tables, through a page cache; lock held ------------------------------------ */

/** Returns the page cache for an image that is being opened; cst_levels_clear() frees it. */
CstPageCache *cst_levels_new_cache(CstLevels *levels);

/** Reads entry @index of the L1 table. */
gboolean cst_levels_l1_get(CstLevels *levels, uint64_t index, uint64_t *ret_entry, GError **error);
/**
 * Sets entry @index of the L1 table in the cache; cst_levels_sync() writes it behind the L2 tables.
 */
gboolean cst_levels_l1_set(CstLevels *levels, uint64_t index, uint64_t entry, GError **error);
/**
 * Reads entry @index of the L2 table at @table. CORRUPT when the table lies outside the file, or is
 * not aligned; in an image that is written to also when it lies over the header or the L1 table.
 */
gboolean cst_levels_l2_get(CstLevels *levels, uint64_t table, uint64_t index, uint64_t *ret_entry,
                           GError **error);
/** Sets entry @index of the L2 table at @table in the cache. CORRUPT as above. */
gboolean cst_levels_l2_set(CstLevels *levels, uint64_t table, uint64_t index, uint64_t entry,
                           GError **error);
/**
 * CORRUPT when the L1 table does not end inside the file: what is allocated at the file's end would
 * be what the table reaches; also when it lies over the header. For before cst_levels_init(); the
 * places and lengths of both are set.
 */
gboolean cst_levels_check_l1(const CstLevels *levels, CstBlob *blob, GError **error);
/**
 * Returns whether an L2 table may lie at @table in a file of @file_size bytes: aligned, inside the
 * file, and over neither the header nor the L1 table.
 */
gboolean cst_levels_table_is_sound(const CstLevels *levels, uint64_t table, uint64_t file_size);
/** Writes dirty pages in their order; no barrier at the end. */
gboolean cst_levels_sync(CstBlocks *blocks, GError **error);

/* --- alloc.c; lock held ---------------------------------------------------------------------- */

/**
 * Allocates whole clusters for @length bytes. *ret_fresh: they read as zeroes once the file reaches
 * them. LIMIT when the file is too long.
 */
gboolean cst_levels_alloc(CstLevels *levels, uint64_t length, uint64_t *ret_host,
                          gboolean *ret_fresh, GError **error);
/** Has allocations go on @length bytes further behind the end of the file than they would. */
gboolean cst_levels_leave(CstLevels *levels, uint64_t length, GError **error);
/** Allocates @length bytes at the very end of the file, for compressed data. */
gboolean cst_levels_alloc_packed(CstLevels *levels, uint64_t length, uint64_t *ret_host,
                                 GError **error);
/** Allocates an L2 table of zeroes and enters it into the L1 table. */
gboolean cst_levels_new_table(CstLevels *levels, uint64_t l1_index, uint64_t *ret_table,
                              GError **error);
/**
 * Truncates the file to @end, unless it is of fixed size. Nothing refers to what lies behind. Drops
 * the cache, so nothing may wait in it.
 */
gboolean cst_levels_cut(CstLevels *levels, uint64_t end, GError **error);

/* --- map.c ------------------------------------------------------------------------------------ */

extern const CstBlocksOps cst_levels_blocks;

/**
 * Lock held: finds what guest cluster @index is. *ret_count is the number of clusters from it on
 * that are alike (1 unless a whole table is missing).
 */
gboolean cst_levels_find(CstLevels *levels, uint64_t index, CstLevelsEntry *ret_entry,
                         uint64_t *ret_count, GError **error);
/**
 * Lock held: sets the entry of guest cluster @index to @raw, in a new table where there is none.
 */
gboolean cst_levels_enter(CstLevels *levels, uint64_t index, uint64_t raw, GError **error);

/* --- write.c: for the format's table ---------------------------------------------------------- */

gboolean cst_levels_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                         GError **error);
uint64_t cst_levels_packed_unit(CstImage *image);
gboolean cst_levels_write_packed(CstImage *image, const void *buf, size_t len, uint64_t offset,
                                 GError **error);
/**
 * Gives a place to each cluster from @first to before @end that reads as zeroes without one, and
 * reserves its space. Takes the lock.
 */
gboolean cst_levels_preallocate(CstLevels *levels, uint64_t first, uint64_t end,
                                CstPreallocation preallocation, CstTask *task, GError **error);
/** Opens a new image and preallocates all of its clusters. Nothing is flushed. */
gboolean cst_levels_fill(CstBlob *blob, const CstImageFormat *format,
                         CstPreallocation preallocation, CstTask *task, GError **error);
gboolean cst_levels_empty(CstImage *image, CstTask *task, GError **error);
/**
 * Fails with LIMIT when the name of the backing file is too long, and with INVALID when an image
 * with a backing file is to be preallocated.
 */
gboolean cst_levels_check_create(const CstImageCreate *options, GError **error);
gboolean cst_levels_set_backing(CstImage *image, const char *name, const char *format,
                                CstImage *parent, GError **error);

/* --- resize.c --------------------------------------------------------------------------------- */

gboolean cst_levels_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                           CstTask *task, GError **error);

/* --- check.c ---------------------------------------------------------------------------------- */

/** A flag in addition to CstCheckFlags: repair errors but no leaks, for an image that is being
 * opened. */
#define CST_LEVELS_REPAIR_ERRORS (1u << 16)

/**
 * Checks, and repairs as @flags ask for (CstCheckFlags, CST_LEVELS_REPAIR_ERRORS). Nobody else uses
 * the image, and nothing waits in its cache.
 */
gboolean cst_levels_check(CstLevels *levels, unsigned flags, CstImageCheck *ret_check,
                          CstTask *task, GError **error);
