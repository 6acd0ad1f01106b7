/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "blocks.h"
#include "page_cache.h"

/**
 * The common part of qcow (version 1) and QED. An L1 table has the offsets of L2 tables, which have
 * the offsets of clusters. All entries have 64 bits, and 0 means unallocated. A format describes
 * the header, the byte order, and the other kinds of entries.
 *
 * Order of writes: data and new L2 tables filled with zeroes, a barrier, L2 tables, a barrier, the
 * L1 table. Therefore no table on the disk refers to unwritten clusters, and a power cut leaves
 * leaked clusters at worst.
 */
typedef struct CstLevels CstLevels;

#define CST_LEVELS_SECTOR   512u
#define CST_LEVELS_MAX_NAME 1023u /**< maximum length in bytes of a backing file's name */

/** A decoded L2 entry. */
typedef struct {
    CstRunKind kind; /**< CST_RUN_BACKING: unallocated */
    uint64_t host;   /**< offset in the file of the first byte */
    uint64_t packed; /**< length in bytes of a compressed cluster */
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
     * Called with the lock held before a cluster is allocated or a table is changed. May write the
     * header. Must be cheap if no work is left. NULL: no preparation is needed.
     */
    gboolean (*begin)(CstLevels *levels, GError **error);
    /** Writes the header with levels->image.capacity and levels->l1_offset, in one sector. */
    gboolean (*write_header)(CstLevels *levels, GError **error);
    /** Returns the number of entries of an L1 table for @capacity. If it is constant, the table
     * never moves. */
    uint64_t (*l1_entries)(const CstLevels *levels, uint64_t capacity);
    /** Checks that the format has images of this capacity. Otherwise fails with INVALID. */
    gboolean (*check_capacity)(const CstLevels *levels, uint64_t capacity, GError **error);
    /**
     * Called with the lock held and no unwritten changes. Sets the name of the backing file, of at
     * most CST_LEVELS_MAX_NAME bytes, and its format. NULL: no backing file. Writes the name before
     * the header refers to it. The change is on the disk when it returns.
     */
    gboolean (*set_name)(CstLevels *levels, const char *name, const char *format, GError **error);
} CstLevelsFormat;

/** Head of the format's struct. */
struct CstLevels {
    CstBlocks blocks;
    const CstLevelsFormat *format;
    uint64_t cluster_size;
    uint64_t align;      /**< alignment of a data cluster in the file */
    uint64_t l2_align;   /**< alignment of an L2 table */
    uint64_t l2_entries; /**< entries of one table, a power of two */
    uint64_t l1_offset, l1_entries;
    CstLevelsRange header; /**< never freed */
    CstLevelsRange name;   /**< name of the backing file, outside of header; length 0: no name */

    CstPageCache *cache; /**< pages of both levels */

    gboolean end_known;
    uint64_t end;      /**< end of the space in use, where allocations continue */
    uint64_t old_size; /**< file size when end was found; bytes past it read as zeroes */
    GArray *spare;     /**< uint64_t: clusters that were allocated and freed again */
};

static inline CstLevels *cst_levels_of(CstImage *image)
{
    return (CstLevels *)image;
}

/** Returns whether the image is read-only. Overlapping tables are tolerated then, because no
 * cluster is allocated. */
static inline gboolean cst_levels_is_read_only(const CstLevels *levels)
{
    return levels->blocks.block_size == CST_BLOCKS_ANY_LENGTH;
}

static inline uint64_t cst_levels_l2_bytes(const CstLevels *levels)
{
    return levels->l2_entries * 8;
}

/**
 * Initialises the common part of an opened image. The caller has set the geometry, and checked it
 * for memory and overflows. Sets the image's capacity to @capacity bytes. Borrows @blob and
 * @how->backing. After a failure no clear is needed.
 */
gboolean cst_levels_init(CstLevels *levels, const CstLevelsFormat *format, CstBlob *blob,
                         const CstImageOpen *how, uint64_t capacity, GError **error);
/** Frees the cache, the lock and the list of spare clusters, not @levels itself. */
void cst_levels_clear(CstLevels *levels);

/* --- entry.c ---------------------------------------------------------------------------------- */

/** The bit of an entry that marks a compressed cluster, in a format with compression. */
#define CST_LEVELS_PACKED (UINT64_C(1) << 63)

/** Returns the lowest bit of a compressed cluster's length in an entry. The length is directly
 * below CST_LEVELS_PACKED, and has as many bits as an offset inside a cluster. */
static inline unsigned cst_levels_length_shift(const CstLevels *levels)
{
    return 63 - (unsigned)__builtin_ctzll(levels->cluster_size);
}

/** Decodes the entry @raw. Returns FALSE without an error when it is damaged. */
gboolean cst_levels_decode(const CstLevels *levels, uint64_t raw, CstLevelsEntry *ret_entry);

/** Fails with CORRUPT: the image is damaged, with the translated reason @what. Always FALSE. */
gboolean cst_levels_corrupt(const CstLevels *levels, GError **error, const char *what);
#define cst_levels_corrupt(...) CST_GIVES_FALSE(cst_levels_corrupt(__VA_ARGS__))

/* --- tables.c: the tables, through a page cache; lock held ------------------------------------ */

/** Returns the page cache for an image that is being opened. cst_levels_clear() frees it. */
CstPageCache *cst_levels_new_cache(CstLevels *levels);

/** Reads entry @index of the L1 table. */
gboolean cst_levels_l1_get(CstLevels *levels, uint64_t index, uint64_t *ret_entry, GError **error);
/**
 * Sets entry @index of the L1 table in the cache. cst_levels_sync() writes it after the L2 tables.
 */
gboolean cst_levels_l1_set(CstLevels *levels, uint64_t index, uint64_t entry, GError **error);
/**
 * Reads entry @index of the L2 table at @table. CORRUPT when the table is outside the file or not
 * aligned. In a writable image also when it overlaps the header or the L1 table.
 */
gboolean cst_levels_l2_get(CstLevels *levels, uint64_t table, uint64_t index, uint64_t *ret_entry,
                           GError **error);
/** Sets entry @index of the L2 table at @table in the cache. CORRUPT as for cst_levels_l2_get(). */
gboolean cst_levels_l2_set(CstLevels *levels, uint64_t table, uint64_t index, uint64_t entry,
                           GError **error);
/**
 * Checks the L1 table before cst_levels_init(). The caller has set the offsets and lengths of the
 * table and the header. CORRUPT when the table overlaps the header or does not end inside the file,
 * because allocations at the end of the file would overlap it.
 */
gboolean cst_levels_check_l1(const CstLevels *levels, CstBlob *blob, GError **error);
/**
 * Returns whether @table is a valid offset of an L2 table in a file of @file_size bytes: aligned,
 * inside the file, and overlapping neither the header nor the L1 table.
 */
gboolean cst_levels_table_is_sound(const CstLevels *levels, uint64_t table, uint64_t file_size);
/** Writes dirty pages in their order. Issues no barrier at the end. */
gboolean cst_levels_sync(CstBlocks *blocks, GError **error);

/* --- alloc.c; lock held ---------------------------------------------------------------------- */

/**
 * Allocates whole clusters for @length bytes. *ret_fresh: they read as zeroes once the file
 * includes them. LIMIT when the file is too long.
 */
gboolean cst_levels_alloc(CstLevels *levels, uint64_t length, uint64_t *ret_host,
                          gboolean *ret_fresh, GError **error);
/** Advances the end of the file for allocations by @length bytes. */
gboolean cst_levels_leave(CstLevels *levels, uint64_t length, GError **error);
/** Allocates @length bytes at the exact end of the file, for compressed data. */
gboolean cst_levels_alloc_packed(CstLevels *levels, uint64_t length, uint64_t *ret_host,
                                 GError **error);
/** Allocates an L2 table of zeroes and links it into the L1 table. */
gboolean cst_levels_new_table(CstLevels *levels, uint64_t l1_index, uint64_t *ret_table,
                              GError **error);
/**
 * Truncates the file to @end, unless its size is fixed. No table may refer to space past @end.
 * Drops the cache, so it must hold no unwritten changes.
 */
gboolean cst_levels_cut(CstLevels *levels, uint64_t end, GError **error);

/* --- map.c ------------------------------------------------------------------------------------ */

extern const CstBlocksOps cst_levels_blocks;

/**
 * Lock held: decodes the entry of guest cluster @index. *ret_count is the number of equal clusters
 * from it on (1 unless a whole table is missing).
 */
gboolean cst_levels_find(CstLevels *levels, uint64_t index, CstLevelsEntry *ret_entry,
                         uint64_t *ret_count, GError **error);
/**
 * Lock held: sets the entry of guest cluster @index to @raw. Allocates the table if it is missing.
 */
gboolean cst_levels_enter(CstLevels *levels, uint64_t index, uint64_t raw, GError **error);

/* --- write.c: for the format's table ---------------------------------------------------------- */

gboolean cst_levels_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                         GError **error);
uint64_t cst_levels_packed_unit(CstImage *image);
gboolean cst_levels_write_packed(CstImage *image, const void *buf, size_t len, uint64_t offset,
                                 GError **error);
/**
 * Allocates each cluster from @first to before @end that reads as zeroes and is unallocated, and
 * reserves its space. Acquires the lock.
 */
gboolean cst_levels_preallocate(CstLevels *levels, uint64_t first, uint64_t end,
                                CstPreallocation preallocation, CstTask *task, GError **error);
/** Opens a new image and preallocates all of its clusters. Does not flush. */
gboolean cst_levels_fill(CstBlob *blob, const CstImageFormat *format,
                         CstPreallocation preallocation, CstTask *task, GError **error);
gboolean cst_levels_empty(CstImage *image, CstTask *task, GError **error);
/**
 * Checks create options. LIMIT when the name of the backing file is too long, INVALID when an image
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
 * Checks the image, and makes the repairs of @flags (CstCheckFlags, CST_LEVELS_REPAIR_ERRORS). The
 * image must have no other user, and its cache no unwritten changes.
 */
gboolean cst_levels_check(CstLevels *levels, unsigned flags, CstImageCheck *ret_check,
                          CstTask *task, GError **error);
