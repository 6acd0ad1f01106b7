/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bitmapdir.h"

/**
 * A change of the bitmaps: begin, put and drop, commit, clear. It writes a new directory and other
 * new content to free places, then the header's extension, and gives up afterwards what only the
 * old directory used. Each call needs the lock, and no other change of the bitmaps may run between
 * begin and clear.
 */
typedef struct {
    Qcow2 *q;         /**< borrowed; NULL: nothing is being changed */
    GArray *bitmaps;  /**< Qcow2Bitmap: the directory to be written */
    GArray *fresh;    /**< uint64_t: clusters to be freed when the edit fails */
    GArray *stale;    /**< uint64_t: clusters to be given up when it is committed */
    gboolean changed; /**< a commit is needed */
} Qcow2BitmapEdit;

/** Begins a change of the bitmaps of @q, which it borrows, by reading the directory. */
gboolean qcow2_bitmap_edit_begin(Qcow2BitmapEdit *edit, Qcow2 *q, GError **error);
/** Ends the edit; frees clusters that were not committed. May be called for a struct of zeroes. */
void qcow2_bitmap_edit_clear(Qcow2BitmapEdit *edit);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2BitmapEdit, qcow2_bitmap_edit_clear)

/** Writes one cluster of @bits to a new place and stores it in *entry, a table entry. */
gboolean qcow2_bitmap_edit_put_bits(Qcow2BitmapEdit *edit, const uint8_t *bits, uint64_t *entry,
                                    GError **error);
/** Writes @table, the table_size entries of @bitmap in host order, to a new place, and sets
 * table_offset. @table may be NULL: all entries are zero. */
gboolean qcow2_bitmap_edit_put_table(Qcow2BitmapEdit *edit, Qcow2Bitmap *bitmap,
                                     const uint64_t *table, GError **error);
/** Notes the clusters of the table of @bitmap as stale; the clusters of bits stay. */
void qcow2_bitmap_edit_drop_table(Qcow2BitmapEdit *edit, const Qcow2Bitmap *bitmap);
/** Notes the table of @bitmap and its clusters of bits as stale. CORRUPT when it is damaged. */
gboolean qcow2_bitmap_edit_drop(Qcow2BitmapEdit *edit, const Qcow2Bitmap *bitmap, GError **error);
/** Notes the cluster of bits that the table entry @entry refers to, if any, as stale. CORRUPT when
 * the entry is damaged. */
gboolean qcow2_bitmap_edit_drop_bits(Qcow2BitmapEdit *edit, uint64_t entry, GError **error);

/**
 * Writes the directory and makes it valid, together with @size, the size of the disk in bytes.
 * A power cut leaves the old or the new state of both, except where the header has no room for both
 * in one sector: then it may leave an image without bitmaps. LIMIT when the directory is too large,
 * CORRUPT when a stale cluster is not counted; both before the header changes.
 */
gboolean qcow2_bitmap_edit_commit(Qcow2BitmapEdit *edit, uint64_t size, GError **error);

/* --- bitmapsize.c ----------------------------------------------------------------------------- */

/**
 * Fits the bitmaps to a disk of @size bytes: the bytes that are added are clean, and no bit is set
 * for bytes that go. Inconsistent bitmaps stay as they are; with @size 0 all bitmaps are removed.
 * Sets edit->changed when there is something to commit. UNSUPPORTED when a bitmap is of an unknown
 * kind, LIMIT when one would be too large.
 */
gboolean qcow2_bitmap_edit_fit(Qcow2BitmapEdit *edit, uint64_t size, GError **error);
