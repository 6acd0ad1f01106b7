/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "blocks.h"
#include "table.h"

/**
 * Parallels' expandable disk, ploop in libvirt's words, little endian (qemu
 * docs/interop/parallels): a header of 64 bytes, the block allocation table ("BAT") right behind
 * it, the clusters. An entry of the table is the place of a guest's cluster, 0 is nowhere. The
 * header lies in one sector, so a change of several of its fields is there as a whole or not at
 * all.
 *
 * The older magic has 32 bits of size, and places in sectors; the newer one 64, and clusters.
 * Clusters are any number of sectors long: old images have 63 of them.
 */
#define PARALLELS_HEADER_LEN 64
#define PARALLELS_SECTOR     512u
#define PARALLELS_MAGIC_OLD  "WithoutFreeSpace"
#define PARALLELS_MAGIC_NEW  "WithouFreSpacExt"
#define PARALLELS_VERSION    2u
#define PARALLELS_IN_USE     0x746f6e59u
#define PARALLELS_EMPTY      1u /* of the flags: the disk is to be taken for empty */

/** What QEMU opens: it keeps the table in one piece of memory below 2 GiB. */
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
 * Order of writing: the mark that the image is in use, a barrier; data, a barrier, the table. The
 * mark goes when the image is closed, after a barrier. So no entry on the disk refers to what is
 * not there, and a power cut leaves clusters that nothing refers to, at worst. New clusters are
 * taken at the end of the file, as QEMU does it.
 */
typedef struct {
    CstBlocks blocks;
    uint8_t raw[PARALLELS_HEADER_LEN];
    uint64_t unit;         /**< bytes that an entry counts in */
    uint64_t cluster_size; /**< bytes */
    uint64_t entries;      /**< of the table */
    uint64_t data_start;   /**< bytes: no new cluster goes before */
    uint64_t file_size;    /**< when it was last asked for */
    CstTable *bat;

    gboolean end_known;
    uint64_t end;      /**< of all that is in use: allocations go on here */
    uint64_t old_size; /**< of the file when end was found: what is beyond reads as zeroes */
    GArray *spare;     /**< uint64_t: places that were given and taken back */
} Parallels;

/** Returns the end of a table of @entries entries, in bytes of the file. */
static inline uint64_t parallels_table_end(uint64_t entries)
{
    return PARALLELS_HEADER_LEN + entries * 4;
}

/* --- header.c --------------------------------------------------------------------------------- */

/** Returns whether a header has the older magic, see above. */
gboolean parallels_is_old(const uint8_t *head);
/**
 * Returns the first place for a cluster from @at on, in bytes. With the older magic places count
 * from where the data begin.
 */
uint64_t parallels_align(const Parallels *parallels, uint64_t at);
/** Fails with INVALID when no image can have @capacity (bytes); @is_old: with the older magic. */
gboolean parallels_check_capacity(uint64_t capacity, uint64_t cluster_size, gboolean is_old,
                                  GError **error);
/** Returns whether the in-use mark is set in the header. */
gboolean parallels_is_in_use(const Parallels *parallels);
/** Lock held: sets the in-use mark on the disk, if it is not set, before anything else changes. */
gboolean parallels_begin(Parallels *parallels, GError **error);
/** Clears the in-use mark. Everything that was written must be on the disk. */
gboolean parallels_end(Parallels *parallels, GError **error);
/** Writes the header; one sector, so the change is atomic. No barrier. */
gboolean parallels_write_header(Parallels *parallels, GError **error);

/* --- open.c ----------------------------------------------------------------------------------- */

/**
 * The format's open() callback; repairs an image with the in-use mark when it is opened for
 * writing.
 */
CstImage *parallels_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                         GError **error);
/** The format's close() callback; writes out the table and clears the in-use mark. */
void parallels_close(CstImage *image);
/**
 * Opens an image as parallels_open() does, but without a repair, for a check. NULL with @error set.
 */
Parallels *parallels_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                         GError **error);
/** Frees @parallels without writing anything. */
void parallels_free(Parallels *parallels);
/**
 * Replaces the cached table by one of parallels->entries entries. Changes that were not written are
 * lost.
 */
void parallels_reset_bat(Parallels *parallels);

/* --- map.c; lock held ------------------------------------------------------------------------- */

extern const CstBlocksOps parallels_blocks;

/**
 * Finds where allocations continue, by a walk through the table, unless it is known. CORRUPT when
 * the table is damaged.
 */
gboolean parallels_find_end(Parallels *parallels, GError **error);
/**
 * Allocates a cluster; *ret_fresh: it reads as zeroes once the file reaches it. LIMIT when the file
 * is too long.
 */
gboolean parallels_alloc(Parallels *parallels, uint64_t *ret_host, gboolean *ret_fresh,
                         GError **error);
/** Sets the entry of guest cluster @index to @host (bytes; 0: no place) in the cached table. */
gboolean parallels_set(Parallels *parallels, uint64_t index, uint64_t host, GError **error);
/**
 * Copies the cluster at @from to a new place and enters that for guest cluster @index.
 * parallels_sync() writes the table once the copy is on the disk.
 */
gboolean parallels_move(Parallels *parallels, uint64_t index, uint64_t from, GError **error);
/**
 * Writes the changed entries behind a barrier, so that the data they refer to is on the disk first.
 */
gboolean parallels_sync(CstBlocks *blocks, GError **error);
/** Truncates the file to @end, unless it is of fixed size. Nothing refers to what lies behind. */
gboolean parallels_cut(Parallels *parallels, uint64_t end, GError **error);

/* --- repair.c --------------------------------------------------------------------------------- */

/**
 * Walks through the whole table and sets all of *ret_check but the leaks; with @fix it repairs the
 * wrong entries. Nobody else uses the image.
 */
gboolean parallels_review(Parallels *parallels, gboolean fix, CstImageCheck *ret_check,
                          CstTask *task, GError **error);
/**
 * Returns the space inside the file that no entry refers to to the file system; does nothing for a
 * damaged image.
 */
gboolean parallels_give_back(Parallels *parallels, CstTask *task, GError **error);

/* --- write.c ---------------------------------------------------------------------------------- */

gboolean parallels_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset,
                          GError **error);
gboolean parallels_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                        GError **error);
gboolean parallels_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error);
/**
 * Lock held: gives a place to each cluster from @first to before @end that has none, and reserves
 * its space.
 */
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
