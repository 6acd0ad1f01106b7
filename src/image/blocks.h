/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"

/**
 * The common part of the block formats. The guest's bytes are divided into blocks of one size. A
 * block has a place in the file, or no place. This file moves the bytes; the callbacks of a format
 * find the places. qcow2 uses the functions for reading and for claims, and has its own writer
 * (docs/internals/images.md has the reasons).
 *
 * One lock guards all metadata. Data is read and written without it. Bytes with a place are written
 * in place, by any number of threads. Bytes without a place get one in steps: the block is claimed,
 * a place is found under the lock, data is written without the lock, and then the place is linked
 * into the tables. Therefore a table never refers to unwritten data, provided that sync() issues a
 * barrier before it writes the tables.
 *
 * A claim makes a second writer of the same block wait for the first one. Writers of other blocks
 * continue. A reader needs no claim: it sees the bytes from before or after a concurrent write.
 */
typedef struct CstBlocks CstBlocks;

typedef enum {
    CST_RUN_ZERO,    /**< no place; reads as zeroes */
    CST_RUN_BACKING, /**< no place; reads from the backing image */
    CST_RUN_DATA,
    CST_RUN_PACKED /**< compressed; the run does not leave the compressed unit */
} CstRunKind;

/** Block size of an image that is opened for reading only: map() accepts ranges of any length. */
#define CST_BLOCKS_ANY_LENGTH (UINT64_C(1) << 63)

typedef struct {
    CstRunKind kind;
    uint64_t length;
    uint64_t host; /**< CST_RUN_DATA: offset of the first byte in the data blob; CST_RUN_PACKED:
                        input of unpack() */
} CstRun;

/** A step of a write to bytes without a place. */
typedef struct {
    uint64_t offset, length; /**< guest bytes without a place, inside one block */
    uint64_t host;           /**< out: offset in the data blob for the byte at offset */
    uint64_t unit;           /**< out: link() links whole units of this size, so the unwritten
                                  bytes of the step's first and last unit are filled in */
    uint64_t block_end;      /**< out: required end of the file; 0: any */
    uint64_t place;          /**< out: private data of the format */
    gboolean is_new;         /**< out: the block had no place before */
    gboolean fresh;          /**< out: the whole place and the block read as zeroes */
    gboolean backed; /**< out: the bytes around may be other than zero, from the backing image or
                          compressed data, and must be filled in */
    gboolean packed; /**< in: the bytes are compressed, and are the whole block */
} CstStep;

/** Callbacks of the format. All except unpack() are called with the lock held. */
typedef struct {
    /** Finds the run at @offset. The range does not leave the block. The run may be shorter than
     * @length. */
    gboolean (*map)(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                    GError **error);
    /**
     * Reads @len bytes at the guest's @offset, inside the CST_RUN_PACKED @run. Called without the
     * lock, by many threads. NULL: the format has no compressed data.
     */
    gboolean (*unpack)(CstBlocks *blocks, const CstRun *run, uint8_t *buf, size_t len,
                       uint64_t offset, GError **error);
    /* --- NULL for images that are only read --- */
    /**
     * Finds a place for the bytes of @step, whose block is claimed, and sets the members marked
     * "out". No table may refer to the place yet.
     */
    gboolean (*place)(CstBlocks *blocks, CstStep *step, GError **error);
    /** Links the place of @step into the tables. The data has been written. */
    gboolean (*link)(CstBlocks *blocks, const CstStep *step, GError **error);
    /** Frees the place of @step after a failure to write the data or of link(). */
    void (*take_back)(CstBlocks *blocks, const CstStep *step);
    /**
     * Makes a claimed block that shows the backing image read as zeroes, without a place. Leaves
     * *ret_done FALSE if the image has no table entry for that. NULL: the format has no such entry.
     */
    gboolean (*hide)(CstBlocks *blocks, uint64_t offset, gboolean *ret_done, GError **error);
    /** Writes all changed metadata in its order; no barrier at the end. */
    gboolean (*sync)(CstBlocks *blocks, GError **error);
} CstBlocksOps;

typedef struct CstBlockClaim CstBlockClaim;

/** A range of blocks whose places one caller may change. It usually lives on that caller's
 * stack. */
struct CstBlockClaim {
    uint64_t first, last;
    CstBlockClaim *next;
};

/** Head of the format's struct. */
struct CstBlocks {
    CstImage image;
    const CstBlocksOps *ops;
    CstBlob *blob;    /**< borrowed: image.blob */
    CstBlob *data;    /**< borrowed: blob with the bytes of CST_RUN_DATA; the same as blob, unless
                           the format sets it */
    CstBlob *backing; /**< borrowed: image.backing */
    uint64_t backing_size;
    uint64_t backing_start; /**< offset in the backing image of the guest's first byte */
    gboolean lacks_backing; /**< the image has a backing reference, but was opened without a
                                 backing image */
    gboolean barriers;
    uint64_t block_size; /**< bytes */
    GMutex lock;
    GCond released;
    CstBlockClaim *claims;
};

/**
 * Initialises the common head of an image that is being opened. Borrows @blob and @how->backing,
 * which the CstImage will reference. The caller sets block_size, backing_start and lacks_backing,
 * and calls cst_blocks_clear() when it closes. After a failure no clear is needed.
 */
gboolean cst_blocks_init(CstBlocks *blocks, const CstBlocksOps *ops, CstBlob *blob,
                         const CstImageOpen *how, GError **error);
/** Frees the lock and its condition. No thread may use the image any more. */
void cst_blocks_clear(CstBlocks *blocks);

/** Lock held: waits until no claim covers @block. The lock is released while it waits. */
void cst_blocks_wait(CstBlocks *blocks, uint64_t block);
/**
 * Lock held: waits until no other claim overlaps the range of @claim, then adds @claim. The lock is
 * released while it waits. @claim must live until cst_blocks_release().
 */
void cst_blocks_claim(CstBlocks *blocks, CstBlockClaim *claim);
/** Lock held: removes @claim, and wakes all threads that wait for a claim. */
void cst_blocks_release(CstBlocks *blocks, CstBlockClaim *claim);

/**
 * Flushes the file, so that all earlier writes reach the disk before any later one. Has no effect
 * for an image that was opened with CST_IMAGE_NO_BARRIERS.
 */
gboolean cst_blocks_barrier(CstBlocks *blocks, GError **error);

/** Sets *ret_there to the number of bytes of the range inside the data blob. Any thread. */
gboolean cst_blocks_host_bytes(CstBlocks *blocks, uint64_t host, uint64_t length,
                               uint64_t *ret_there, GError **error);
/** Reads @len bytes at @host of the data blob. Bytes past its end read as zeroes. Any thread. */
gboolean cst_blocks_read_host(CstBlocks *blocks, void *buf, size_t len, uint64_t host,
                              GError **error);
/**
 * Copies @length bytes inside the data blob. Preserves holes. Bytes past the end of the file read
 * as zeroes. The ranges must not overlap.
 */
gboolean cst_blocks_copy_host(CstBlocks *blocks, uint64_t from, uint64_t to, uint64_t length,
                              GError **error);
/**
 * Zeroes the part of the range that is inside the data blob, without growing the blob. @flags are
 * as for cst_blob_zero().
 */
gboolean cst_blocks_zero_host(CstBlocks *blocks, uint64_t host, uint64_t length, unsigned flags,
                              GError **error);
/**
 * Writes the compressed form @packed of a block (@packed_len bytes). If the block already has a
 * place for its uncompressed bytes, writes the @len bytes of @buf there instead.
 */
gboolean cst_blocks_write_packed(CstBlocks *blocks, const uint8_t *packed, size_t packed_len,
                                 const uint8_t *buf, size_t len, uint64_t offset, GError **error);
/** Writes zeroes to the guest's bytes, and allocates a place for each of them. */
gboolean cst_blocks_write_zeroes(CstBlocks *blocks, uint64_t offset, uint64_t length,
                                 unsigned flags, GError **error);

/**
 * Writes zeroes to the bytes of the block at @offset that show the backing image. The block has
 * block_size bytes, fewer at the end of the image. Call it if the backing image shows only zeroes
 * there and is about to be removed.
 */
gboolean cst_blocks_fill_block(CstBlocks *blocks, uint64_t offset, GError **error);

/* --- callbacks for a format's table; format.h has their contracts ----------------------------- */

gboolean cst_blocks_pread(CstImage *image, void *buf, size_t len, uint64_t offset, GError **error);
gboolean cst_blocks_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset,
                           GError **error);
gboolean cst_blocks_extent(CstImage *image, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                           GError **error);
/**
 * Converts @run, found at the guest's @offset, to an extent, which may be shorter than the run. A
 * run may cover many blocks.
 */
gboolean cst_blocks_run_extent(CstBlocks *blocks, uint64_t offset, const CstRun *run,
                               CstExtent *ret_extent, GError **error);
gboolean cst_blocks_locate(CstImage *image, uint64_t offset, uint64_t length,
                           CstBlobLocation *ret_location, GError **error);
gboolean cst_blocks_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                         GError **error);
/**
 * Returns the space to the file system if possible. The blocks keep their places, so that the file
 * has no gaps that other programs would report as errors.
 */
gboolean cst_blocks_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error);
gboolean cst_blocks_flush(CstImage *image, GError **error);
/**
 * The spill hook of an image's page caches, whose @owner is the CstBlocks. Lock held: writes all
 * changed tables in the order of the format, without a barrier at the end.
 */
gboolean cst_blocks_spill(void *owner, GError **error);
/** Acquires the lock and writes all changed tables in the order of the format. */
gboolean cst_blocks_write_back(CstBlocks *blocks, GError **error);
/** Like cst_blocks_write_back(), with a barrier at the end, so that later writes may refer to the
 * tables. */
gboolean cst_blocks_write_through(CstBlocks *blocks, GError **error);
