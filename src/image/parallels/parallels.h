/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "blocks.h"
#include "table.h"

/**
 * Parallels' expandable disk, called ploop in libvirt, little endian (qemu docs/interop/parallels).
 * It consists of a header of 64 bytes, the block allocation table ("BAT") right after it, and the
 * clusters. An entry of the table is the place of a guest's cluster; 0 means no place. The header
 * lies in one sector, so a change of several of its fields is atomic.
 *
 * The older magic has a 32-bit size, and places in sectors. The newer magic has a 64-bit size, and
 * places in clusters. A cluster may have any number of sectors: old images have clusters of 63
 * sectors.
 */
#define PARALLELS_HEADER_LEN 64
#define PARALLELS_SECTOR     512u
#define PARALLELS_MAGIC_OLD  "WithoutFreeSpace"
#define PARALLELS_MAGIC_NEW  "WithouFreSpacExt"
#define PARALLELS_VERSION    2u
#define PARALLELS_IN_USE     0x746f6e59u
#define PARALLELS_EMPTY      1u /* in the flags: the disk is to be treated as empty */

/** Limits of QEMU, which keeps the table in one piece of memory below 2 GiB. */
#define PARALLELS_MAX_TRACKS (G_MAXINT32 / 513u)
#define PARALLELS_MAX_BAT    (G_MAXINT32 / 4u)

enum {
    PARALLELS_AT_VERSION = 16,
    PARALLELS_AT_HEADS = 20,
    PARALLELS_AT_CYLINDERS = 24,
    PARALLELS_AT_TRACKS = 28,
    PARALLELS_AT_ENTRIES = 32,
    PARALLELS_AT_SECTORS = 36,
    PARALLELS_AT_IN_USE = 44,
    PARALLELS_AT_DATA = 48,
    PARALLELS_AT_FLAGS = 52,
    PARALLELS_AT_EXTENSION = 56
};

/**
 * An opened image.
 *
 * Write order: the in-use mark, a barrier; data, a barrier, the table. The mark is cleared when the
 * image is closed, after a barrier. So an entry on the disk never refers to missing data, and a
 * power cut can at worst leak clusters. New clusters are allocated at the end of the file, like in
 * QEMU.
 */
typedef struct {
    CstBlocks blocks;
    uint8_t raw[PARALLELS_HEADER_LEN];
    uint64_t unit;         /**< unit of the entries, bytes */
    uint64_t cluster_size; /**< bytes */
    uint64_t entries;      /**< number of entries of the table */
    uint64_t data_start;   /**< bytes: no new cluster is placed before it */
    uint64_t file_size;    /**< size at the last query */
    CstTable *bat;

    gboolean end_known;
    uint64_t end;      /**< end of the used part, where allocations continue */
    uint64_t old_size; /**< file size when end was found: data beyond it reads as zeroes */
    GArray *spare;     /**< uint64_t: places that were allocated and freed again */
} Parallels;

/** Return the end of a table of @entries entries, in bytes of the file. */
static inline uint64_t parallels_table_end(uint64_t entries)
{
    return PARALLELS_HEADER_LEN + entries * 4;
}

/* --- header.c --------------------------------------------------------------------------------- */

/** Return whether a header has the older magic, see above. */
gboolean parallels_is_old(const uint8_t *head);
/**
 * Return the first place for a cluster from @at on, in bytes. With the older magic, places are
 * relative to the start of the data.
 */
uint64_t parallels_align(const Parallels *parallels, uint64_t at);
/**
 * Fail with INVALID if an image can't have @capacity (bytes). @is_old: the image has the older
 * magic.
 */
gboolean parallels_check_capacity(uint64_t capacity, uint64_t cluster_size, gboolean is_old,
                                  GError **error);
/** Return whether the in-use mark is set in the header. */
gboolean parallels_is_in_use(const Parallels *parallels);
/** Lock held: set the in-use mark on the disk, if it is not set. Must precede any other change. */
gboolean parallels_begin(Parallels *parallels, GError **error);
/** Clear the in-use mark. All writes must be durable. */
gboolean parallels_end(Parallels *parallels, GError **error);
/** Write the header; it is one sector, so the change is atomic. No barrier. */
gboolean parallels_write_header(Parallels *parallels, GError **error);

/* --- open.c ----------------------------------------------------------------------------------- */

/**
 * The format's open() callback. Repairs an image with the in-use mark when it is opened for
 * writing.
 */
CstImage *parallels_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                         GError **error);
/** The format's close() callback. Writes the table and clears the in-use mark. */
void parallels_close(CstImage *image);
/** Open an image like parallels_open(), but without a repair, for a check. NULL with @error set. */
Parallels *parallels_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                         GError **error);
/** Free @parallels without writing anything. */
void parallels_free(Parallels *parallels);
/**
 * Replace the cached table with an empty cache for parallels->entries entries. Unwritten changes
 * are lost.
 */
void parallels_reset_bat(Parallels *parallels);

/* --- map.c; lock held ------------------------------------------------------------------------- */

extern const CstBlocksOps parallels_blocks;

/**
 * Find the end of the used part, from which allocation continues, by a walk through the table. Does
 * nothing if it is known. CORRUPT if the table is damaged.
 */
gboolean parallels_find_end(Parallels *parallels, GError **error);
/**
 * Allocate a cluster. *ret_fresh: it reads as zeroes once the file reaches it. LIMIT if the file is
 * too long.
 */
gboolean parallels_alloc(Parallels *parallels, uint64_t *ret_host, gboolean *ret_fresh,
                         GError **error);
/** Set the entry of guest cluster @index to @host (bytes; 0: no place) in the cached table. */
gboolean parallels_set(Parallels *parallels, uint64_t index, uint64_t host, GError **error);
/**
 * Copy the cluster at @from to a new place and set the entry of guest cluster @index to it.
 * parallels_sync() writes the table after the copy is durable.
 */
gboolean parallels_move(Parallels *parallels, uint64_t index, uint64_t from, GError **error);
/** Write the changed entries after a barrier, so that the data they refer to is durable first. */
gboolean parallels_sync(CstBlocks *blocks, GError **error);
/**
 * Truncate the file to @end, unless it has a fixed size. No entry may refer to data beyond @end.
 */
gboolean parallels_cut(Parallels *parallels, uint64_t end, GError **error);

/* --- repair.c --------------------------------------------------------------------------------- */

/**
 * Walk through the whole table and set all of *ret_check except the leaks. With @fix, repair the
 * wrong entries. The image must have no other user.
 */
gboolean parallels_review(Parallels *parallels, gboolean fix, CstImageCheck *ret_check,
                          CstTask *task, GError **error);
/** Release unused space inside the file to the file system. Does nothing for a damaged image. */
gboolean parallels_give_back(Parallels *parallels, CstTask *task, GError **error);

/* --- write.c ---------------------------------------------------------------------------------- */

gboolean parallels_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset,
                          GError **error);
gboolean parallels_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                        GError **error);
gboolean parallels_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error);
/** Lock held: allocate each cluster of [@first, @end) that has no place, and reserve its space. */
gboolean parallels_preallocate(Parallels *parallels, uint64_t first, uint64_t end,
                               CstPreallocation preallocation, CstTask *task, GError **error);

/* --- create.c, resize.c, check.c -------------------------------------------------------------- */

gboolean parallels_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure,
                           GError **error);
gboolean parallels_create(const CstImageFormat *format, CstBlob *blob,
                          const CstImageCreate *options, CstTask *task, GError **error);
gboolean parallels_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                          CstTask *task, GError **error);

gboolean parallels_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                         unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error);
