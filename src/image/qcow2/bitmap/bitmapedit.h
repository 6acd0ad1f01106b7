/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bitmapdir.h"

/**
 * A change of the bitmaps. Call order: begin, put and drop, commit, clear.
 *
 * The new directory and all other new content are written to free clusters. Then one change of the
 * header's extension makes them valid. The clusters that only the old directory used are given up
 * afterwards. Each call needs the lock. No other change of the bitmaps may run between begin and
 * clear.
 */
typedef struct {
    Qcow2 *q;         /**< borrowed; NULL: no edit has begun */
    GArray *bitmaps;  /**< Qcow2Bitmap: the directory to write */
    GArray *fresh;    /**< uint64_t: clusters to free when the edit fails */
    GArray *stale;    /**< uint64_t: clusters to give up after the commit */
    gboolean changed; /**< the edit needs a commit */
} Qcow2BitmapEdit;

/** Begins a change of the bitmaps of @q by reading the directory. Borrows @q. */
gboolean qcow2_bitmap_edit_begin(Qcow2BitmapEdit *edit, Qcow2 *q, GError **error);
/** Ends the edit and frees uncommitted clusters. Accepts a zeroed struct. */
void qcow2_bitmap_edit_clear(Qcow2BitmapEdit *edit);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2BitmapEdit, qcow2_bitmap_edit_clear)

/** Writes one cluster of @bits to a new cluster. Sets *entry to the table entry for it. */
gboolean qcow2_bitmap_edit_put_bits(Qcow2BitmapEdit *edit, const uint8_t *bits, uint64_t *entry,
                                    GError **error);
/** Writes @table, the table_size entries of @bitmap in host order, to new clusters. Sets
 * table_offset. @table may be NULL: all entries are zero. */
gboolean qcow2_bitmap_edit_put_table(Qcow2BitmapEdit *edit, Qcow2Bitmap *bitmap,
                                     const uint64_t *table, GError **error);
/** Marks the clusters of the table of @bitmap as stale. The clusters of bits remain in use. */
void qcow2_bitmap_edit_drop_table(Qcow2BitmapEdit *edit, const Qcow2Bitmap *bitmap);
/** Marks the table of @bitmap and its clusters of bits as stale. CORRUPT when the table is
 * damaged. */
gboolean qcow2_bitmap_edit_drop(Qcow2BitmapEdit *edit, const Qcow2Bitmap *bitmap, GError **error);
/** Marks the cluster of bits of the table entry @entry as stale, if the entry has one. CORRUPT when
 * the entry is damaged. */
gboolean qcow2_bitmap_edit_drop_bits(Qcow2BitmapEdit *edit, uint64_t entry, GError **error);

/**
 * Writes the directory and makes it valid, together with @size, the size of the disk in bytes. A
 * power cut leaves the old or the new state of both. Exception: if the header has no room for both
 * in one sector, a power cut may leave an image without bitmaps. LIMIT when the directory is too
 * large, CORRUPT when the refcount of a stale cluster is 0; the header is unchanged in both cases.
 */
gboolean qcow2_bitmap_edit_commit(Qcow2BitmapEdit *edit, uint64_t size, GError **error);

/* --- bitmapsize.c ----------------------------------------------------------------------------- */

/**
 * Adapts the bitmaps to a disk of @size bytes. Added bytes are clean, and the bits of removed bytes
 * are cleared. Inconsistent bitmaps stay unchanged. A @size of 0 removes all bitmaps. Sets
 * edit->changed when a commit is needed. UNSUPPORTED when a bitmap is of an unknown kind, LIMIT
 * when a bitmap would be too large.
 */
gboolean qcow2_bitmap_edit_fit(Qcow2BitmapEdit *edit, uint64_t size, GError **error);
