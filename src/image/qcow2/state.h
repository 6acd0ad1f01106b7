/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "blocks.h"
#include "page_cache.h"
#include "qcow2/header/header.h"

/**
 * An opened qcow2 image.
 *
 * One lock (blocks.lock) guards all metadata. The guest's data is read and written without it.
 * blocks.h reads the data of all block formats. A writer first claims its range of guest clusters,
 * even if it writes in place. Therefore two writers never write to the same cluster, and no cluster
 * is given up during a write to it.
 *
 * The order of writes limits the damage of a power cut to leaked clusters. Guest data and refcounts
 * are written before the tables that refer to them, and L2 tables before the L1 entries. The
 * refcount of a cluster that was given up is lowered only when no table on the disk refers to it
 * (sync.c).
 *
 * A cluster whose entry lacks the COPIED bit is shared with a snapshot. It is never written in
 * place.
 */

#define QCOW2_COPIED      (UINT64_C(1) << 63)
#define QCOW2_COMPRESSED  (UINT64_C(1) << 62)
#define QCOW2_READS_ZERO  UINT64_C(1)
#define QCOW2_OFFSET_MASK UINT64_C(0x00fffffffffffe00)

typedef struct {
    CstBlocks blocks; /* its lock guards the fields below; its claims are of guest clusters */
    CstBlob *data;    /* owned: the external data file; NULL: the guest's bytes are in the image */
    gboolean lacks_data;   /* the caller asked not to open the data file */
    gboolean same_content; /* CST_IMAGE_SAME_CONTENT */

    Qcow2Header header;
    uint64_t cluster_size;
    unsigned cluster_bits;
    unsigned entry_size; /* of an L2 entry: 8, or 16 when extended */
    unsigned l2_bits;    /* log2 of entries in an L2 table */
    unsigned sub_count;  /* subclusters per cluster: 1, or 32 when extended */
    unsigned sub_bits;   /* log2 of a subcluster's size */
    unsigned block_bits; /* log2 of entries in a refcount block */

    /* guarded by the lock */
    gboolean writing;  /* the header has been prepared for changes */
    gboolean lost;     /* the header on the disk is unknown after a failed write; no change is
                          allowed */
    gboolean applying; /* qcow2_apply_pending() is running */
    uint64_t *l1;      /* header.l1_size entries */
    uint32_t l1_dirty_first, l1_dirty_end;
    uint64_t *reftable;
    uint32_t reftable_entries;
    uint32_t reftable_dirty_first, reftable_dirty_end;
    CstPageCache *l2s;       /* whole L2 tables, by their offset */
    CstPageCache *refblocks; /* whole refcount blocks, by their offset */
    uint64_t free_hint;      /* no cluster below it is free */
    uint64_t packed_at;      /* offset for the next compressed data; 0: in a new cluster */
    GArray *pending;         /* uint64_t host clusters to count down after the next sync */
} Qcow2;

/** Returns the state of @image, which must be a qcow2 image. */
static inline Qcow2 *qcow2_of(CstImage *image)
{
    return (Qcow2 *)image;
}

/** Returns whether the data file alone must read like the guest's disk. */
static inline gboolean qcow2_is_raw(const Qcow2 *q)
{
    return q->data && (q->header.autoclear & QCOW2_AUTOCLEAR_RAW_DATA);
}

/* --- update.c; lock held ---------------------------------------------------------------------- */

/** Sets the error CORRUPT with the image's name and the translated text @what. Returns FALSE. */
gboolean qcow2_corrupt(const Qcow2 *q, GError **error, const char *what);
#define qcow2_corrupt(...) CST_GIVES_FALSE(qcow2_corrupt(__VA_ARGS__))

/** Makes all earlier writes reach the disk before all later ones. Has no effect if the image was
 * opened without barriers. */
gboolean qcow2_barrier(Qcow2 *q, GError **error);
/** Clears all autoclear bits but @keep on the disk, because this code does not keep their features
 * up to date. IO when q->lost is set. */
gboolean qcow2_clear_features(Qcow2 *q, uint64_t keep, GError **error);
/** Prepares the header for changes that leave the guest's bytes unchanged. Bitmaps stay valid. */
gboolean qcow2_begin_changing(Qcow2 *q, GError **error);
/**
 * Writes @len bytes of the header's first sector at @offset, between two barriers. A failed write
 * sets q->lost: the content of the disk is unknown, and no further change is allowed.
 */
gboolean qcow2_put_header(Qcow2 *q, const uint8_t *raw, uint64_t offset, size_t len,
                          GError **error);

/* --- state.c ---------------------------------------------------------------------------------- */

/** Allocates the state of an image with @header, which has been checked. Reads no tables. Borrows
 * @blob. */
Qcow2 *qcow2_state_new(CstBlob *blob, const Qcow2Header *header, const CstImageOpen *how,
                       GError **error);
/** Reads the L1 table and, if @counts is TRUE, the refcount table. The state is unchanged on
 * failure. */
gboolean qcow2_state_read_tables(Qcow2 *q, gboolean counts, GError **error);
/** Resets the state to the state of a newly opened image with @header. Drops all cached tables,
 * even dirty ones, and reads the tables again. Lock held. */
gboolean qcow2_state_renew(Qcow2 *q, const Qcow2Header *header, GError **error);
/** Frees the state. Writes no data. */
void qcow2_state_free(Qcow2 *q);

/** Returns the cache's id of the table at @offset. The table is one cluster long. */
static inline CstPageId qcow2_table_id(const Qcow2 *q, uint64_t offset)
{
    return (CstPageId){.key = offset, .offset = offset, .length = (uint32_t)q->cluster_size};
}

/* --- snapshot.c; while the image is being opened for reading --------------------------------- */

/** Replaces the active L1 table and the size in memory with the table and size of the snapshot that
 * has the name or id @name. NOT_FOUND. */
gboolean qcow2_snapshot_show(Qcow2 *q, const char *name, GError **error);

/* --- refblocks.c: refcounts of clusters; lock held ------------------------------------------- */

/** Returns the index, in the refcount table, of the block that counts @cluster. */
static inline uint64_t qcow2_block_index(const Qcow2 *q, uint64_t cluster)
{
    return cluster >> q->block_bits;
}

/** Reads the block that counts @cluster through the cache. *ret_block is NULL if no block exists;
 * the clusters of its range have the count 0. CORRUPT when the block's offset is not aligned. */
gboolean qcow2_block_of(Qcow2 *q, uint64_t cluster, CstPage **ret_block, GError **error);
/** Reads the refcount of @cluster; 0 if no block counts it. */
gboolean qcow2_count_get(Qcow2 *q, uint64_t cluster, uint64_t *ret_count, GError **error);
/** Sets the refcount of @cluster in the cache. CORRUPT when no block counts it. */
gboolean qcow2_count_set(Qcow2 *q, uint64_t cluster, uint64_t count, GError **error);
/** Frees @count clusters from @cluster on, which were just allocated and are not referenced. A
 * failure leaves them leaked. */
void qcow2_alloc_undo(Qcow2 *q, uint64_t cluster, uint64_t count);
/** Records that @count clusters from @cluster on have lost one reference. The next sync lowers
 * their refcounts. */
void qcow2_give_up(Qcow2 *q, uint64_t cluster, uint64_t count);
/** Discards @count free clusters from @cluster on, up to the end of the file. Ignores errors. */
void qcow2_hand_back(const Qcow2 *q, uint64_t cluster, uint64_t count);
/** Contiguous free clusters to discard with one call. Begins as {0, 0}. */
typedef struct {
    uint64_t first, count;
} Qcow2Freed;
/** Adds a free cluster. If it does not follow the earlier ones, discards them first. */
void qcow2_freed_add(const Qcow2 *q, Qcow2Freed *freed, uint64_t cluster);
/** Discards the clusters that were added last. */
void qcow2_freed_end(const Qcow2 *q, Qcow2Freed *freed);
/** Lowers the refcounts of all clusters that were given up. qcow2_sync() calls it when no table on
 * the disk refers to them. CORRUPT when the refcount of such a cluster is 0. */
gboolean qcow2_apply_pending(Qcow2 *q, GError **error);

/* --- alloc.c; lock held ----------------------------------------------------------------------- */

/** Allocates 1 to @wanted contiguous clusters and sets their refcounts to 1. LIMIT when the file
 * cannot grow, CORRUPT when the refcount of metadata in use is 0. */
gboolean qcow2_alloc(Qcow2 *q, uint64_t wanted, uint64_t *ret_cluster, uint64_t *ret_count,
                     GError **error);

/* --- region.c: long runs at the end of the file; lock held ---------------------------------- */

/** Allocates exactly @count contiguous clusters after the last cluster in use. LIMIT when the file
 * cannot grow. */
gboolean qcow2_alloc_region(Qcow2 *q, uint64_t count, uint64_t *ret_cluster, GError **error);
/** Moves the refcount table to a new place with room for at least @entries entries, on the disk
 * too. LIMIT when the table would exceed the limit of the format. */
gboolean qcow2_reftable_grow(Qcow2 *q, uint64_t entries, GError **error);
/** Finds the end of the space in use: the cluster after the last one with a refcount above 0. */
gboolean qcow2_used_end(Qcow2 *q, uint64_t *ret_cluster, GError **error);

/* --- map.c: L1 and L2; lock held ------------------------------------------------------------- */

typedef enum {
    QCOW2_UNALLOCATED, /**< reads the backing image, or zeroes without one */
    QCOW2_ZERO,
    QCOW2_DATA,
    QCOW2_PACKED, /**< compressed */
    QCOW2_BAD     /**< the entry is damaged */
} Qcow2Kind;

/** An L2 entry in host order. */
typedef struct {
    uint64_t word;   /**< offset and flags */
    uint64_t bitmap; /**< allocation of subclusters; 0 without extended entries */
} Qcow2Entry;

/** Returns the offset of the cluster of an uncompressed entry; 0: the entry has no cluster. */
static inline uint64_t qcow2_entry_host(const Qcow2Entry *entry)
{
    return entry->word & QCOW2_OFFSET_MASK;
}

/** Returns the kind of subcluster @sub of an entry. @sub is 0 without extended entries. */
Qcow2Kind qcow2_entry_kind(const Qcow2 *q, const Qcow2Entry *entry, unsigned sub);

/** A run of the guest's bytes. */
typedef struct {
    Qcow2Kind kind;
    uint64_t length; /**< bytes */
    uint64_t host;   /**< QCOW2_PACKED: the entry's word. Else the offset of the first byte's
                          space; 0: no space, except for QCOW2_DATA */
} Qcow2Run;

/** Finds the run of guest bytes at @offset, at most @length bytes long. A run has one kind, and its
 * space is contiguous in the file. CORRUPT when an entry is damaged. */
gboolean qcow2_map(Qcow2 *q, uint64_t offset, uint64_t length, Qcow2Run *ret_run, GError **error);

/**
 * Returns the L2 table of the guest's @offset for changes. Allocates a missing table, and copies a
 * table that is shared with a snapshot. page_cache.h defines how long the page is valid. Write
 * entries with qcow2_entry_put(), which marks the page dirty.
 */
CstPage *qcow2_l2_for_write(Qcow2 *q, uint64_t offset, GError **error);
/** Gets the L2 table of @l1_index for reading only. page_cache.h defines how long it is valid.
 * *ret_table is NULL if no table exists. */
gboolean qcow2_l2_for_read(Qcow2 *q, uint64_t l1_index, const uint8_t **ret_table, GError **error);

/** Returns the index of the entry for the guest's @offset in its L2 table. */
static inline uint64_t qcow2_l2_index(const Qcow2 *q, uint64_t offset)
{
    return (offset >> q->cluster_bits) & ((UINT64_C(1) << q->l2_bits) - 1);
}

/** Decodes entry @index of @table. */
Qcow2Entry qcow2_entry_get(const Qcow2 *q, const uint8_t *table, uint64_t index);
/** Writes entry @index and marks the table dirty. INTERNAL when the page was dropped after the
 * caller got it. */
gboolean qcow2_entry_put(Qcow2 *q, CstPage *table, uint64_t index, Qcow2Entry entry,
                         GError **error);
/** Gives up one reference to each cluster of @entry. Has no effect with an external data file,
 * which has no refcounts. */
void qcow2_entry_give_up(Qcow2 *q, const Qcow2Entry *entry);
/** Decodes the place of compressed data: the offset of its first byte, and its length up to the end
 * of its last sector. */
void qcow2_packed_place(const Qcow2 *q, uint64_t word, uint64_t *ret_host, uint64_t *ret_length);
/** Marks entry @index of the L1 table dirty for the next sync. */
void qcow2_l1_dirty(Qcow2 *q, uint32_t index);

/* --- begin.c; lock held ---------------------------------------------------------------------- */

/** Prepares the header and the bitmaps for changes of the guest's bytes. Call it before each
 * change; it has no effect if q->writing is set. */
gboolean qcow2_begin_writing(Qcow2 *q, GError **error);

/* --- sync.c; lock held, except write_back, which acquires it ---------------------------------- */

/** Writes all changed metadata in its order, then lowers the refcounts of clusters that were given
 * up. */
gboolean qcow2_sync(Qcow2 *q, GError **error);
/** Syncs, then also writes the refcounts that the sync has lowered, so that memory holds no
 * unwritten change. Issues no barrier at the end. */
gboolean qcow2_write_back(Qcow2 *q, GError **error);
/** Syncs when many clusters wait to be counted down. This bounds the memory of the list. */
gboolean qcow2_relieve(Qcow2 *q, GError **error);

/* --- unpack.c --------------------------------------------------------------------------------- */

/** Decompresses one cluster to @cluster, which has room for cluster_size bytes. Any thread. CORRUPT
 * when @packed is no compressed cluster. */
gboolean qcow2_unpack(Qcow2 *q, const uint8_t *packed, size_t packed_len, uint8_t *cluster,
                      GError **error);

/* --- pack.c ----------------------------------------------------------------------------------- */

/** Compresses one cluster into @packed, which has room for @room bytes. Any thread. Returns the
 * length in bytes, or 0 when the result does not fit. */
size_t qcow2_pack(const Qcow2 *q, const uint8_t *cluster, uint8_t *packed, size_t room);

/* --- the guest's bytes; no lock held ---------------------------------------------------------- */

extern const CstBlocksOps qcow2_blocks_ops;

/** Waits until no other claim overlaps the range, then claims its guest clusters. @claim must live
 * until qcow2_release(), usually on the caller's stack. */
void qcow2_claim(Qcow2 *q, CstBlockClaim *claim, uint64_t offset, uint64_t length);
/** Removes the claim and wakes the threads that wait for its clusters. */
void qcow2_release(Qcow2 *q, CstBlockClaim *claim);

/** Returns whether unallocated bytes from @offset on may read from a backing image. */
gboolean qcow2_backing_shows(const Qcow2 *q, uint64_t offset);
/** Checks that the content can be accessed. UNSUPPORTED when it is encrypted, INVALID when the data
 * file was not opened. */
gboolean qcow2_check_content(const Qcow2 *q, GError **error);

/** Like pwrite and zero in format.h, for a range that the caller has claimed. */
gboolean qcow2_write_claimed(Qcow2 *q, const uint8_t *buf, uint64_t len, uint64_t offset,
                             GError **error);
gboolean qcow2_zero_claimed(Qcow2 *q, uint64_t offset, uint64_t length, unsigned flags,
                            GError **error);
/**
 * Removes the whole clusters from @offset to before @end from the tables and gives them up. With
 * @hide they read as zeroes. Else the entries become unallocated, so that a backing image may show.
 * Lock held.
 */
gboolean qcow2_forget(Qcow2 *q, uint64_t offset, uint64_t end, gboolean hide, GError **error);
/** Gives up the L2 table of L1 entry @index and all clusters that it refers to. Lock held. */
gboolean qcow2_give_up_l2(Qcow2 *q, uint32_t index, GError **error);
/** Truncates the file after its last cluster in use. Has no effect if the blob has a fixed size. */
gboolean qcow2_cut_file(Qcow2 *q, GError **error);
/** Allocates space for the unallocated clusters of the range. The range reads as before. */
gboolean qcow2_preallocate(Qcow2 *q, uint64_t offset, uint64_t length,
                           CstPreallocation preallocation, CstTask *task, GError **error);

/* --- create.c --------------------------------------------------------------------------------- */

/** Parses a compatibility level: "0.10", "1.1", "v2" or "v3". INVALID for another text. */
gboolean qcow2_parse_compat(const char *compat, uint32_t *ret_version, GError **error);
/** Checks a refcount width in bits and returns its log2. INVALID for a width that the format
 * lacks. */
gboolean qcow2_parse_refcount_bits(unsigned bits, uint32_t *ret_order, GError **error);

/**
 * Plans the header of an empty image with @options. The caller passes *ret_header zeroed. INVALID
 * for options and capacities that no image can have.
 */
gboolean qcow2_plan(const CstImageCreate *options, Qcow2Header *ret_header, GError **error);
