/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "qcow2/state.h"

/** The bitmap directory (qcow2, "Bitmaps") and the tables of its bitmaps. */

#define QCOW2_MAX_BITMAPS       65535u
#define QCOW2_MAX_BITMAP_BYTES  (64u << 20) /**< length of the directory */
#define QCOW2_MAX_BITMAP_NAME   1023u
#define QCOW2_MAX_BITMAP_TABLE  (1u << 20) /**< entries of the table of one bitmap */
#define QCOW2_MIN_GRANULARITY   9
#define QCOW2_MAX_GRANULARITY   31
#define QCOW2_BITMAP_IN_USE     1u
#define QCOW2_BITMAP_AUTO       2u
#define QCOW2_BITMAP_EXTRA_OK   4u
#define QCOW2_BITMAP_DIRTY_TYPE 1u

/** An entry of the bitmap directory. */
typedef struct {
    uint64_t at; /**< offset of the entry in the directory that was read */
    uint64_t table_offset;
    uint32_t table_size; /**< entries */
    uint32_t flags;
    uint8_t type;
    uint8_t granularity_bits;
    uint32_t extra_size;
    uint8_t *extra;
    char *name;
} Qcow2Bitmap;

/** Frees the members of @bitmap and zeroes it. */
void qcow2_bitmap_clear(Qcow2Bitmap *bitmap);

/** Returns whether the image has valid bitmaps. The autoclear bit is cleared by programs that
 * change the image and do not know bitmaps. */
static inline gboolean qcow2_bitmaps_are_valid(const Qcow2 *q)
{
    return q->header.has_bitmaps && (q->header.autoclear & QCOW2_AUTOCLEAR_BITMAPS);
}

/**
 * Reads the directory. Returns an array of Qcow2Bitmap, which clears its elements; the caller frees
 * it. The array is empty when the image has no valid bitmaps. CORRUPT when the directory is
 * damaged, NO_MEMORY when it does not fit into memory. Lock held.
 */
GArray *qcow2_bitmaps_read(Qcow2 *q, GError **error);
/** Returns an empty array of Qcow2Bitmap, which clears its elements. */
GArray *qcow2_bitmaps_new(void);
/**
 * Packs @bitmaps as a directory. Returns *ret_len bytes, which the caller frees. Does not check the
 * limits of the format. NO_MEMORY; the error names the image @name.
 */
uint8_t *qcow2_bitmaps_pack(const GArray *bitmaps, const char *name, uint64_t *ret_len,
                            GError **error);

/** Returns the length in bytes of a directory entry, padding included. The entry has @extra_size
 * bytes of extra data and a name of @name_size bytes. */
uint64_t qcow2_bitmap_entry_len(uint64_t extra_size, uint64_t name_size);
/** Returns the number of entries in the table of a bitmap for a disk of @size bytes. */
uint64_t qcow2_bitmap_entries(const Qcow2 *q, uint64_t size, unsigned granularity_bits);
/** Returns whether the bits of @bitmap are reliable. FALSE when the bitmap is inconsistent (marked
 * as in use) or of an unknown kind. */
gboolean qcow2_bitmap_is_usable(const Qcow2 *q, const Qcow2Bitmap *bitmap);

/** Reads the table of @bitmap. Returns table_size entries in host order, which the caller frees.
 * CORRUPT when the table is too long or not inside the file. Lock held. */
uint64_t *qcow2_bitmap_table(Qcow2 *q, const Qcow2Bitmap *bitmap, GError **error);

/* --- bitmapext.c: the extension in the header; lock held ------------------------------------- */

/**
 * Makes the header refer to the directory of @count bitmaps at @offset, @bytes bytes long. With a
 * @count of 0 the header refers to no directory. Sets the size of the disk to @size bytes. The
 * caller has written the directory, the tables and the bits. Syncs cached metadata first. The
 * change is on the disk when the function returns TRUE. LIMIT or UNSUPPORTED when the header has no
 * room for a first bitmap; the image is unchanged then. A failed write of the header sets q->lost.
 */
gboolean qcow2_bitmaps_switch(Qcow2 *q, uint32_t count, uint64_t offset, uint64_t bytes,
                              uint64_t size, GError **error);
/**
 * Marks enabled bitmaps (all bitmaps with @all) as in use on the disk. Call it before the guest's
 * bytes change. Invalidates all bitmaps when the directory is damaged. Issues a barrier after the
 * changes.
 */
gboolean qcow2_bitmaps_outdate(Qcow2 *q, gboolean all, GError **error);

/* --- bitmapread.c; lock held ------------------------------------------------------------------ */

/** Reads the cluster of bits of the table entry @entry into @bits, which has room for cluster_size
 * bytes. CORRUPT when the entry is damaged. */
gboolean qcow2_bitmap_bits(Qcow2 *q, uint64_t entry, uint8_t *bits, GError **error);

/** Receives a dirty range: the guest's bytes from @from to before @to. */
typedef gboolean (*Qcow2DirtyFunc)(gpointer data, uint64_t from, uint64_t to, GError **error);
/**
 * Calls @func for each run of set bits, in ascending order. One run may be reported in several
 * pieces. CORRUPT when the bitmap's table is damaged.
 */
gboolean qcow2_bitmap_each_dirty(Qcow2 *q, const Qcow2Bitmap *bitmap, Qcow2DirtyFunc func,
                                 gpointer data, GError **error);

/* --- bitmapmerge.c; lock held ----------------------------------------------------------------- */

/**
 * Computes the union of two bitmaps: the bits of @to and of @from, a bitmap of @source. Returns the
 * new table in host order, which the caller frees. @to does not change. Writes changed bits to new
 * clusters. Adds the numbers of the new clusters to @fresh and the numbers of the replaced clusters
 * to @stale (uint64_t), even when it fails.
 */
uint64_t *qcow2_bitmap_merged(Qcow2 *q, const Qcow2Bitmap *to, Qcow2 *source,
                              const Qcow2Bitmap *from, GArray *fresh, GArray *stale,
                              GError **error);
