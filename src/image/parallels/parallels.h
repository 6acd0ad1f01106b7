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

/** End of a table of so many entries, in bytes. */
static inline uint64_t parallels_table_end(uint64_t entries)
{
    return PARALLELS_HEADER_LEN + entries * 4;
}

/* --- header.c ------------------------------------------------------------------------------------
 */

/** The older magic, see above. */
gboolean parallels_is_old(const uint8_t *head);
/** The first place for a cluster from @at on: the older magic counts from where the data begin. */
uint64_t parallels_align(const Parallels *parallels, uint64_t at);
/** INVALID when there can be no image of this capacity; @is_old: with the older magic. */
gboolean parallels_check_capacity(uint64_t capacity, uint64_t cluster_size, gboolean is_old,
                                  GError **error);
gboolean parallels_is_in_use(const Parallels *parallels);
/** Marks the image as in use, on the disk, before anything else changes; lock held. */
gboolean parallels_begin(Parallels *parallels, GError **error);
/** Takes the mark away. All that was written is on the disk. */
gboolean parallels_end(Parallels *parallels, GError **error);
gboolean parallels_write_header(Parallels *parallels, GError **error);

/* --- open.c ----------------------------------------------------------------------------------- */

CstImage *parallels_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                         GError **error);
void parallels_close(CstImage *image);
/** Opens what parallels_open() would, without a repair, for checking. */
Parallels *parallels_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                         GError **error);
void parallels_free(Parallels *parallels);
/** Lets the table have as many entries as the header says. */
void parallels_reset_bat(Parallels *parallels);

/* --- map.c; lock held ------------------------------------------------------------------------- */

extern const CstBlocksOps parallels_blocks;

/** Sets where allocations go on. CORRUPT when the table is damaged. */
gboolean parallels_find_end(Parallels *parallels, GError **error);
/** A place for a cluster; *ret_fresh: it reads as zeroes once the file reaches it. */
gboolean parallels_alloc(Parallels *parallels, uint64_t *ret_host, gboolean *ret_fresh,
                         GError **error);
gboolean parallels_set(Parallels *parallels, uint64_t index, uint64_t host, GError **error);
/** Copies the cluster at @from to a new place, and enters that; parallels_sync() writes the table
 *  once the copy is on the disk. */
gboolean parallels_move(Parallels *parallels, uint64_t index, uint64_t from, GError **error);
gboolean parallels_sync(CstBlocks *blocks, GError **error);
/** Cuts the file behind @end where it can be cut; nothing refers to what is behind it. */
gboolean parallels_cut(Parallels *parallels, uint64_t end, GError **error);

/* --- repair.c ------------------------------------------------------------------------------------
 */

/**
 * Looks at the whole table, and sets all of *ret_check but the leaks. @fix: repairs what is wrong
 * with it. Nobody else uses the image.
 */
gboolean parallels_review(Parallels *parallels, gboolean fix, CstImageCheck *ret_check,
                          CstTask *task, GError **error);
/** Gives back the space of the file that no entry refers to; a damaged image keeps it. */
gboolean parallels_give_back(Parallels *parallels, CstTask *task, GError **error);

/* --- write.c ---------------------------------------------------------------------------------- */

gboolean parallels_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset,
                          GError **error);
gboolean parallels_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                        GError **error);
gboolean parallels_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error);
/** Gives each cluster from @first to before @end that is nowhere a place, and reserves its space;
 *  lock held. */
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
