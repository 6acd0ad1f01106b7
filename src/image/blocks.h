/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"

/**
 * What the block formats have in common: the guest's bytes are cut into blocks of one size, each of
 * which is somewhere in the file or nowhere. This file moves the bytes; a format says where they
 * are. qcow2 uses the functions that read and that claim, and has its own
 * writer (docs/internals/images.md has the reasons).
 *
 * One lock guards all metadata; data is read and written outside of it. A byte that has its place
 * is written there, by any number of threads. Bytes without a place get one step by step: the
 * block is claimed, a place is found under the lock, data is written outside of it, and only then
 * the place is linked into the tables. So a table never refers to what is not written, as long as
 * sync() puts a barrier in front of the tables.
 *
 * A claim makes a second writer of the same block wait for the first one; writers of other blocks
 * go on. A reader takes no claim: it sees the bytes from before or after a concurrent write.
 */
typedef struct CstBlocks CstBlocks;

typedef enum {
    CST_RUN_ZERO,    /**< nowhere, reads as zeroes */
    CST_RUN_BACKING, /**< nowhere, reads as the backing image */
    CST_RUN_DATA,
    CST_RUN_PACKED /**< compressed; length does not leave what is compressed together */
} CstRunKind;

/** As the block size of an image that is only read here: map() takes ranges of any length. */
#define CST_BLOCKS_ANY_LENGTH (UINT64_C(1) << 63)

typedef struct {
    CstRunKind kind;
    uint64_t length;
    uint64_t host; /**< CST_RUN_DATA: where the first byte is in the data blob; CST_RUN_PACKED: for
                      unpack() */
} CstRun;

/** One step of giving bytes a place. */
typedef struct {
    uint64_t offset, length; /**< guest bytes inside one block, none of which has a place */
    uint64_t host;           /**< out: where the byte at offset goes */
    uint64_t unit;           /**< out: link() gives all of these units a place, so the bytes of
                                  the step's first and last unit that it does not write are filled in */
    uint64_t block_end;      /**< out: where the file has to reach; 0: does not matter */
    uint64_t place;          /**< out: the format's own */
    gboolean is_new;         /**< out: the block has been nowhere so far */
    gboolean fresh;          /**< out: the whole place reads as zeroes, and so does the block */
    gboolean backed; /**< out: what the guest sees around the bytes is not all zeroes, but comes
                        from the backing image or compressed data, and has to be filled in */
    gboolean packed; /**< in: the bytes are compressed, and all that the block gets */
} CstStep;

/** Callbacks of the format. All but unpack() are called with the lock held. */
typedef struct {
    /** Finds what is at @offset. @length does not leave the block; the run may be shorter. */
    gboolean (*map)(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                    GError **error);
    /**
     * Reads @len bytes at the guest's @offset, inside of a CST_RUN_PACKED. Called without the lock,
     * by many threads. NULL: the format has no compressed data.
     */
    gboolean (*unpack)(CstBlocks *blocks, const CstRun *run, uint8_t *buf, size_t len,
                       uint64_t offset, GError **error);
    /* --- NULL where images are only read --- */
    /**
     * Finds a place for the bytes of @step, whose block is claimed, and fills in the members marked
     * "out". The tables must not refer to the place yet.
     */
    gboolean (*place)(CstBlocks *blocks, CstStep *step, GError **error);
    /** Links the place of @step into the tables. The data has been written. */
    gboolean (*link)(CstBlocks *blocks, const CstStep *step, GError **error);
    /** Frees the place of @step again, after a failure to write the data or of link(). */
    void (*take_back)(CstBlocks *blocks, const CstStep *step);
    /**
     * Makes a claimed block that shows the backing image read as zeroes, without a place; leaves
     * *ret_done FALSE where this image has no table entry for that. NULL: the format has none.
     */
    gboolean (*hide)(CstBlocks *blocks, uint64_t offset, gboolean *ret_done, GError **error);
    /** Writes all changed metadata in its order; no barrier at the end. */
    gboolean (*sync)(CstBlocks *blocks, GError **error);
} CstBlocksOps;

typedef struct CstBlockClaim CstBlockClaim;

/** A range of blocks whose places one caller may change; it lies on that caller's stack. */
struct CstBlockClaim {
    uint64_t first, last;
    CstBlockClaim *next;
};

/** Head of the format's struct. */
struct CstBlocks {
    CstImage image;
    const CstBlocksOps *ops;
    CstBlob *blob; /**< borrowed: image.blob */
    CstBlob *data; /**< borrowed: has the bytes of CST_RUN_DATA; blob, unless the format sets it */
    CstBlob *backing; /**< borrowed: image.backing */
    uint64_t backing_size;
    uint64_t backing_start; /**< what lies there in the backing image is at 0 here */
    gboolean lacks_backing; /**< the image names one, none was handed over */
    gboolean barriers;
    uint64_t block_size; /**< bytes */
    GMutex lock;
    GCond released;
    CstBlockClaim *claims;
};

/**
 * Sets up the common head of an image that is being opened: references to @blob and @how->backing
 * are borrowed, as those of the CstImage will be. The caller sets block_size, backing_start and
 * lacks_backing, and calls cst_blocks_clear() when it closes. On failure there is nothing to clear.
 */
gboolean cst_blocks_init(CstBlocks *blocks, const CstBlocksOps *ops, CstBlob *blob,
                         const CstImageOpen *how, GError **error);
/** Frees the lock and its condition. No other thread may use the image any more. */
void cst_blocks_clear(CstBlocks *blocks);

/** Lock held: waits until no claim covers @block. The lock is released while it waits. */
void cst_blocks_wait(CstBlocks *blocks, uint64_t block);
/**
 * Lock held: waits until no other claim overlaps the range of @claim, then enters @claim. The lock
 * is released while it waits; @claim must live until cst_blocks_release().
 */
void cst_blocks_claim(CstBlocks *blocks, CstBlockClaim *claim);
/** Lock held: removes @claim, and wakes all threads that wait for one. */
void cst_blocks_release(CstBlocks *blocks, CstBlockClaim *claim);

/**
 * Flushes the file, so that all earlier writes reach the disk before any later one. Does nothing
 * for an image that was opened with CST_IMAGE_NO_BARRIERS.
 */
gboolean cst_blocks_barrier(CstBlocks *blocks, GError **error);

/** Sets *ret_there to how many bytes of the range lie inside the data blob. Any thread. */
gboolean cst_blocks_host_bytes(CstBlocks *blocks, uint64_t host, uint64_t length,
                               uint64_t *ret_there, GError **error);
/** Reads @len bytes at @host of the data blob; bytes behind its end read as zeroes. Any thread. */
gboolean cst_blocks_read_host(CstBlocks *blocks, void *buf, size_t len, uint64_t host,
                              GError **error);
/**
 * Copies @length bytes inside the data blob. Holes stay holes, and bytes behind the end of the file
 * read as zeroes. The ranges must not overlap.
 */
gboolean cst_blocks_copy_host(CstBlocks *blocks, uint64_t from, uint64_t to, uint64_t length,
                              GError **error);
/**
 * Zeroes the part of the range that lies inside the data blob, which does not grow. @flags as of
 * cst_blob_zero().
 */
gboolean cst_blocks_zero_host(CstBlocks *blocks, uint64_t host, uint64_t length, unsigned flags,
                              GError **error);
/**
 * Writes a block's bytes in a compressed form of @packed_len bytes, or, where the block has a place
 * for its plain bytes already, @len bytes of @buf to that.
 */
gboolean cst_blocks_write_packed(CstBlocks *blocks, const uint8_t *packed, size_t packed_len,
                                 const uint8_t *buf, size_t len, uint64_t offset, GError **error);
/** Makes the guest's bytes zero, each with a place of its own. */
gboolean cst_blocks_write_zeroes(CstBlocks *blocks, uint64_t offset, uint64_t length,
                                 unsigned flags, GError **error);

/**
 * Writes zeroes where the block at @offset (block_size bytes, less at the end of the image) has
 * bytes without a place that show the backing image. For a caller that knows that the backing image
 * shows only zeroes there, and is about to lose sight of it.
 */
gboolean cst_blocks_fill_block(CstBlocks *blocks, uint64_t offset, GError **error);

/* --- callbacks for a format's table; format.h has their contracts ----------------------------- */

gboolean cst_blocks_pread(CstImage *image, void *buf, size_t len, uint64_t offset, GError **error);
gboolean cst_blocks_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset,
                           GError **error);
gboolean cst_blocks_extent(CstImage *image, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                           GError **error);
/**
 * Describes @run, found at the guest's @offset, as an extent, which may be shorter than the run. A
 * run may cover many blocks.
 */
gboolean cst_blocks_run_extent(CstBlocks *blocks, uint64_t offset, const CstRun *run,
                               CstExtent *ret_extent, GError **error);
gboolean cst_blocks_locate(CstImage *image, uint64_t offset, uint64_t length,
                           CstBlobLocation *ret_location, GError **error);
gboolean cst_blocks_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                         GError **error);
/**
 * Gives the space back to the file system where it can; the blocks keep their places, so that the
 * file has no gaps that other programs would count as errors.
 */
gboolean cst_blocks_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error);
gboolean cst_blocks_flush(CstImage *image, GError **error);
/**
 * The spill hook of an image's page caches, whose @owner is the CstBlocks. Lock held: writes out
 * all changed tables in the order of the format, without a barrier at the end.
 */
gboolean cst_blocks_spill(void *owner, GError **error);
/** Takes the lock and writes out all changed tables, in the order of the format. */
gboolean cst_blocks_write_back(CstBlocks *blocks, GError **error);
/** The same, with a barrier at the end: what is written later refers to tables on the disk. */
gboolean cst_blocks_write_through(CstBlocks *blocks, GError **error);
