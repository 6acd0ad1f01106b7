/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "blocks.h"
#include "header.h"
#include "page_cache.h"

/**
 * An opened qcow2 image.
 *
 * One lock guards all metadata; the guest's data is read and written outside of it. Reading is that
 * of the block formats (blocks.h). Writers first claim their range of guest clusters, those too
 * that write in place, so that two of them never meet in a cluster and nobody gives up a cluster
 * that is being written to.
 *
 * Order of writing, so that the worst after a power cut is a leaked cluster: guest data and
 * refcounts before the tables that refer to them, L2 tables before the L1 entries, and what is
 * given up is counted down only when nothing on the disk refers to it any more (sync.c).
 *
 * A cluster whose entry lacks the COPIED bit belongs to a snapshot too: it is never written in
 * place.
 */

#define QCOW2_COPIED      (UINT64_C(1) << 63)
#define QCOW2_COMPRESSED  (UINT64_C(1) << 62)
#define QCOW2_READS_ZERO  UINT64_C(1)
#define QCOW2_OFFSET_MASK UINT64_C(0x00fffffffffffe00)

typedef struct {
    CstBlocks blocks;      /* its lock guards what is said so below; claims are of clusters */
    CstBlob *data;         /* owned: file with the guest's bytes; NULL: they are in the image */
    gboolean lacks_data;   /* the data file was not to be opened */
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
    gboolean lost;     /* a header may be half written: nothing more may be changed */
    gboolean applying; /* pending is being worked off */
    uint64_t *l1;      /* header.l1_size entries */
    uint32_t l1_dirty_first, l1_dirty_end;
    uint64_t *reftable;
    uint32_t reftable_entries;
    uint32_t reftable_dirty_first, reftable_dirty_end;
    CstPageCache *l2s;       /* whole L2 tables, by their offset */
    CstPageCache *refblocks; /* whole refcount blocks, by their offset */
    uint64_t free_hint;      /* no cluster below is free */
    uint64_t packed_at;      /* where compressed data goes on inside a cluster; 0: in a new one */
    GArray *pending;         /* uint64_t host clusters to count down after the next sync */
} Qcow2;

static inline Qcow2 *qcow2_of(CstImage *image)
{
    return (Qcow2 *)image;
}

/** The data file alone reads as the guest's disk does, and has to go on so. */
static inline gboolean qcow2_is_raw(const Qcow2 *q)
{
    return q->data && (q->header.autoclear & QCOW2_AUTOCLEAR_RAW_DATA);
}

/* --- update.c; lock held ---------------------------------------------------------------------- */

gboolean qcow2_corrupt(const Qcow2 *q, GError **error, const char *what);
#define qcow2_corrupt(...) CST_GIVES_FALSE(qcow2_corrupt(__VA_ARGS__))

/** Everything before reaches the disk ahead of everything after. */
gboolean qcow2_barrier(Qcow2 *q, GError **error);
/** Clears all autoclear bits but @keep: what they stand for is not kept up to date here. */
gboolean qcow2_clear_features(Qcow2 *q, uint64_t keep, GError **error);
/** Before a first change that leaves the guest's bytes as they are: bitmaps stay valid. */
gboolean qcow2_begin_changing(Qcow2 *q, GError **error);
/**
 * Bytes of the header's first sector, behind everything that was written before. When it fails
 * nobody knows what the disk holds, and nothing more may be changed.
 */
gboolean qcow2_put_header(Qcow2 *q, const uint8_t *raw, uint64_t offset, size_t len,
                          GError **error);

/* --- state.c ---------------------------------------------------------------------------------- */

/** The state of an image with @header, which has been checked; no tables yet. Borrows @blob. */
Qcow2 *qcow2_state_new(CstBlob *blob, const Qcow2Header *header, const CstImageOpen *how,
                       GError **error);
/** Reads the L1 table and, with @counts, the refcount table, as the header says. */
gboolean qcow2_state_read_tables(Qcow2 *q, gboolean counts, GError **error);
/** As after a fresh open with @header: whatever was cached is forgotten. Lock held. */
gboolean qcow2_state_renew(Qcow2 *q, const Qcow2Header *header, GError **error);
void qcow2_state_free(Qcow2 *q);

/** The table, one cluster long, that is stored at @offset. */
static inline CstPageId qcow2_table_id(const Qcow2 *q, uint64_t offset)
{
    return (CstPageId){.key = offset, .offset = offset, .length = (uint32_t)q->cluster_size};
}

/* --- snapshot.c; while the image is being opened for reading --------------------------------- */

/** From now on the guest's view is that of the snapshot called @name. */
gboolean qcow2_snapshot_show(Qcow2 *q, const char *name, GError **error);

/* --- refblocks.c: how often clusters are used; lock held ------------------------------------- */

/** The index of the refcount block that counts @cluster in the refcount table. */
static inline uint64_t qcow2_block_index(const Qcow2 *q, uint64_t cluster)
{
    return cluster >> q->block_bits;
}

/** That block, cached; *ret_block is NULL where there is none: all counts there are 0. */
gboolean qcow2_block_of(Qcow2 *q, uint64_t cluster, CstPage **ret_block, GError **error);
gboolean qcow2_count_get(Qcow2 *q, uint64_t cluster, uint64_t *ret_count, GError **error);
/** The block that holds the count must exist. */
gboolean qcow2_count_set(Qcow2 *q, uint64_t cluster, uint64_t count, GError **error);
/** Takes back clusters that nothing refers to yet. */
void qcow2_alloc_undo(Qcow2 *q, uint64_t cluster, uint64_t count);
/** Counts down @count clusters from @cluster once the next sync is through. */
void qcow2_give_up(Qcow2 *q, uint64_t cluster, uint64_t count);
/** Clusters that are free are given back to the file system, as far as the file reaches. */
void qcow2_hand_back(const Qcow2 *q, uint64_t cluster, uint64_t count);
/** Works off what was given up. Called by sync, when the disk no longer refers to it. */
gboolean qcow2_apply_pending(Qcow2 *q, GError **error);

/* --- alloc.c; lock held ----------------------------------------------------------------------- */

/** Up to @wanted clusters in a row, counted once; at least one. */
gboolean qcow2_alloc(Qcow2 *q, uint64_t wanted, uint64_t *ret_cluster, uint64_t *ret_count,
                     GError **error);

/* --- region.c: long runs at the end of the file; lock held ---------------------------------- */

/** Exactly @count clusters in a row, counted once. */
gboolean qcow2_alloc_region(Qcow2 *q, uint64_t count, uint64_t *ret_cluster, GError **error);
/** Makes the refcount table at least @entries long. */
gboolean qcow2_reftable_grow(Qcow2 *q, uint64_t entries, GError **error);
/** One past the last cluster that is counted. */
gboolean qcow2_used_end(Qcow2 *q, uint64_t *ret_cluster, GError **error);

/* --- map.c: L1 and L2; lock held ------------------------------------------------------------- */

typedef enum {
    QCOW2_UNALLOCATED, /**< backing image, or zeroes */
    QCOW2_ZERO,
    QCOW2_DATA,
    QCOW2_PACKED, /**< compressed */
    QCOW2_BAD
} Qcow2Kind;

typedef struct {
    uint64_t word;   /**< the entry proper */
    uint64_t bitmap; /**< of subclusters; 0 unless extended */
} Qcow2Entry;

static inline uint64_t qcow2_entry_host(const Qcow2Entry *entry)
{
    return entry->word & QCOW2_OFFSET_MASK;
}

Qcow2Kind qcow2_entry_kind(const Qcow2 *q, const Qcow2Entry *entry, unsigned sub);

typedef struct {
    Qcow2Kind kind;
    uint64_t length;
    uint64_t host; /**< QCOW2_PACKED: the entry; else where the first byte's space is. 0: nowhere,
                      but for QCOW2_DATA */
} Qcow2Run;

/** What the guest's bytes from @offset on are; one kind, and for data one piece of the file. */
gboolean qcow2_map(Qcow2 *q, uint64_t offset, uint64_t length, Qcow2Run *ret_run, GError **error);

/**
 * The L2 table of the guest's @offset, for changing: made, or copied away from a snapshot, when
 * needed. Write entries with qcow2_entry_put(), which marks it dirty.
 */
CstPage *qcow2_l2_for_write(Qcow2 *q, uint64_t offset, GError **error);
/** The table for looking only; *ret_table is NULL where there is none. */
gboolean qcow2_l2_for_read(Qcow2 *q, uint64_t l1_index, const uint8_t **ret_table, GError **error);

static inline uint64_t qcow2_l2_index(const Qcow2 *q, uint64_t offset)
{
    return (offset >> q->cluster_bits) & ((UINT64_C(1) << q->l2_bits) - 1);
}

Qcow2Entry qcow2_entry_get(const Qcow2 *q, const uint8_t *table, uint64_t index);
/** Marks the table dirty. INTERNAL when the table was given up meanwhile. */
gboolean qcow2_entry_put(Qcow2 *q, CstPage *table, uint64_t index, Qcow2Entry entry,
                         GError **error);
/** Gives up what @entry refers to. */
void qcow2_entry_give_up(Qcow2 *q, const Qcow2Entry *entry);
/** A packed entry's place: first byte, length (up to the end of its last sector). */
void qcow2_packed_place(const Qcow2 *q, uint64_t word, uint64_t *ret_host, uint64_t *ret_length);
void qcow2_l1_dirty(Qcow2 *q, uint32_t index);

/* --- begin.c; lock held ---------------------------------------------------------------------- */

/** Before the first change: clears what a writer that does not know it must clear. */
gboolean qcow2_begin_writing(Qcow2 *q, GError **error);

/* --- sync.c; lock held, but for write_back, which takes it itself ----------------------------- */

/** Writes all changed metadata in its order. */
gboolean qcow2_sync(Qcow2 *q, GError **error);
/** As qcow2_sync(), and nothing is held back any more; no barrier at the end. */
gboolean qcow2_write_back(Qcow2 *q, GError **error);
/** Work off pending when there is much of it. */
gboolean qcow2_relieve(Qcow2 *q, GError **error);

/* --- unpack.c --------------------------------------------------------------------------------- */

/** Decompresses one cluster. CORRUPT when @packed does not hold one. */
gboolean qcow2_unpack(Qcow2 *q, const uint8_t *packed, size_t packed_len, uint8_t *cluster,
                      GError **error);

/* --- pack.c ----------------------------------------------------------------------------------- */

/** Compresses one cluster; any thread. 0: the result would not be shorter than @room. */
size_t qcow2_pack(const Qcow2 *q, const uint8_t *cluster, uint8_t *packed, size_t room);

/* --- the guest's bytes; no lock held ---------------------------------------------------------- */

extern const CstBlocksOps qcow2_blocks_ops;

/** Waits until nobody else works on the clusters of the range. */
void qcow2_claim(Qcow2 *q, CstBlockClaim *claim, uint64_t offset, uint64_t length);
void qcow2_release(Qcow2 *q, CstBlockClaim *claim);

/** Whether unallocated bytes from @offset on may show something of a backing image. */
gboolean qcow2_backing_shows(const Qcow2 *q, uint64_t offset);
/** UNSUPPORTED when the content is encrypted. */
gboolean qcow2_check_content(const Qcow2 *q, GError **error);

/** As the callbacks in format.h, for a range that the caller has claimed. */
gboolean qcow2_write_claimed(Qcow2 *q, const uint8_t *buf, uint64_t len, uint64_t offset,
                             GError **error);
gboolean qcow2_zero_claimed(Qcow2 *q, uint64_t offset, uint64_t length, unsigned flags,
                            GError **error);
/**
 * Forgets the whole clusters from @offset to before @end; what lay there is given up. @hide: a
 * backing image must not show instead (else the entries end up unallocated). Lock held.
 */
gboolean qcow2_forget(Qcow2 *q, uint64_t offset, uint64_t end, gboolean hide, GError **error);
/** Gives up a whole L2 table with all that it refers to. Lock held. */
gboolean qcow2_give_up_l2(Qcow2 *q, uint32_t index, GError **error);
/** The file ends behind its last cluster in use, where its size can be changed. */
gboolean qcow2_cut_file(Qcow2 *q, GError **error);
/** Gives every unallocated cluster of the range its place; it reads as before. */
gboolean qcow2_preallocate(Qcow2 *q, uint64_t offset, uint64_t length,
                           CstPreallocation preallocation, CstTask *task, GError **error);

/* --- create.c --------------------------------------------------------------------------------- */

/** "0.10" or "1.1", or "v2" or "v3"; INVALID, here and below. */
gboolean qcow2_parse_compat(const char *compat, uint32_t *ret_version, GError **error);
/** @ret_order: log2 of the width. */
gboolean qcow2_parse_refcount_bits(unsigned bits, uint32_t *ret_order, GError **error);

/**
 * The header of an empty image with @options; *ret_header is zeroed. INVALID for options and
 * capacities that no image can have.
 */
gboolean qcow2_plan(const CstImageCreate *options, Qcow2Header *ret_header, GError **error);
