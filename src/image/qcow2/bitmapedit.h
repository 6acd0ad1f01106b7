/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bitmapdir.h"

/**
 * A change of the bitmaps. It writes a new directory, and whatever else is new, to free places,
 * then the header's extension; what the old one used is given up afterwards. Only flags change in
 * place. The lock is held throughout.
 */
typedef struct {
    Qcow2 *q; /**< borrowed; NULL: nothing is being changed */
    GArray *bitmaps;
    GArray *fresh;    /**< uint64_t clusters to be taken back when it fails */
    GArray *stale;    /**< … to be given up when it works */
    gboolean changed; /**< there is something to commit */
} Qcow2BitmapEdit;

/** Reads the directory. */
gboolean qcow2_bitmap_edit_begin(Qcow2BitmapEdit *edit, Qcow2 *q, GError **error);
/** Takes back what was not committed. */
void qcow2_bitmap_edit_clear(Qcow2BitmapEdit *edit);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2BitmapEdit, qcow2_bitmap_edit_clear)

/** Writes one cluster of bits to a new place, which *entry is from now on. */
gboolean qcow2_bitmap_edit_put_bits(Qcow2BitmapEdit *edit, const uint8_t *bits, uint64_t *entry,
                                    GError **error);
/** Writes the bitmap's table of table_size entries (NULL: all zero) to a new place. */
gboolean qcow2_bitmap_edit_put_table(Qcow2BitmapEdit *edit, Qcow2Bitmap *bitmap,
                                     const uint64_t *table, GError **error);
/** What the bitmap's table takes is not needed any more; for _drop() also what it leads to. */
void qcow2_bitmap_edit_drop_table(Qcow2BitmapEdit *edit, const Qcow2Bitmap *bitmap);
gboolean qcow2_bitmap_edit_drop(Qcow2BitmapEdit *edit, const Qcow2Bitmap *bitmap, GError **error);
/** Notes the cluster of bits that an entry leads to, if any, as not needed any more. */
gboolean qcow2_bitmap_edit_drop_bits(Qcow2BitmapEdit *edit, uint64_t entry, GError **error);

/**
 * The bitmaps are those of @edit from now on, and the disk has @size bytes. Either both reach the
 * disk or none does, except where the header has no room for both in one sector: then a power cut
 * may leave an image without bitmaps.
 */
gboolean qcow2_bitmap_edit_commit(Qcow2BitmapEdit *edit, uint64_t size, GError **error);

/* --- bitmapsize.c ----------------------------------------------------------------------------- */

/**
 * Makes the bitmaps fit a disk of @size bytes: what is added is clean, and nothing is dirty behind
 * the end. Those that are inconsistent stay so; a disk of no bytes has none. Nothing counts before
 * the commit. UNSUPPORTED for bitmaps of an unknown kind, LIMIT when one would be too large.
 */
gboolean qcow2_bitmap_edit_fit(Qcow2BitmapEdit *edit, uint64_t size, GError **error);
