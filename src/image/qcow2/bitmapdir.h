/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "state.h"

/** The bitmap directory (qcow2, "Bitmaps") and the tables of its bitmaps. */

#define QCOW2_MAX_BITMAPS       65535u
#define QCOW2_MAX_BITMAP_BYTES  (64u << 20) /**< of the directory */
#define QCOW2_MAX_BITMAP_NAME   1023u
#define QCOW2_MAX_BITMAP_TABLE  (1u << 20) /**< entries, of one bitmap */
#define QCOW2_MIN_GRANULARITY   9
#define QCOW2_MAX_GRANULARITY   31
#define QCOW2_BITMAP_IN_USE     1u
#define QCOW2_BITMAP_AUTO       2u
#define QCOW2_BITMAP_EXTRA_OK   4u
#define QCOW2_BITMAP_DIRTY_TYPE 1u

typedef struct {
    uint64_t at; /**< of the entry in the directory that was read */
    uint64_t table_offset;
    uint32_t table_size; /**< entries */
    uint32_t flags;
    uint8_t type;
    uint8_t granularity_bits;
    uint32_t extra_size;
    uint8_t *extra;
    char *name;
} Qcow2Bitmap;

void qcow2_bitmap_clear(Qcow2Bitmap *bitmap);

/** The image has bitmaps, and nobody who does not know them has changed it since. */
static inline gboolean qcow2_bitmaps_are_valid(const Qcow2 *q)
{
    return q->header.has_bitmaps && (q->header.autoclear & QCOW2_AUTOCLEAR_BITMAPS);
}

/** An array of Qcow2Bitmap that clears its elements, empty where none are valid. CORRUPT when the
 * directory is damaged. */
GArray *qcow2_bitmaps_read(Qcow2 *q, GError **error);
GArray *qcow2_bitmaps_new(void);
/** The directory's bytes; NO_MEMORY. @name: of the image. */
uint8_t *qcow2_bitmaps_pack(const GArray *bitmaps, const char *name, uint64_t *ret_len,
                            GError **error);

/** Bytes of an entry of the directory: its head, @extra_size bytes of extra data and a name of
 * @name_size, padded. */
uint64_t qcow2_bitmap_entry_len(uint64_t extra_size, uint64_t name_size);
/** How many entries the table of a bitmap has for a disk of @size bytes. */
uint64_t qcow2_bitmap_entries(const Qcow2 *q, uint64_t size, unsigned granularity_bits);
/** Whether what it says can be relied on; else it is inconsistent, or of an unknown kind. */
gboolean qcow2_bitmap_is_usable(const Qcow2 *q, const Qcow2Bitmap *bitmap);

/** The table's entries in host order. CORRUPT when it lies outside of the file. */
uint64_t *qcow2_bitmap_table(Qcow2 *q, const Qcow2Bitmap *bitmap, GError **error);

/* --- bitmapext.c: the extension in the header; lock held ------------------------------------- */

/**
 * The directory is at @offset from now on, or, with @count 0, there is none, and the disk has @size
 * bytes. Everything it leads to has been written; all that is held back is written first. On the
 * disk when it returns.
 */
gboolean qcow2_bitmaps_switch(Qcow2 *q, uint32_t count, uint64_t offset, uint64_t bytes,
                              uint64_t size, GError **error);
/**
 * Before the guest's bytes change: enabled bitmaps can't be relied on any more, or, with @all, none
 * of them. Where the directory is damaged they all go.
 */
gboolean qcow2_bitmaps_outdate(Qcow2 *q, gboolean all, GError **error);

/* --- bitmapmerge.c; lock held ----------------------------------------------------------------- */

/** The cluster of bits that a table's entry stands for. */
gboolean qcow2_bitmap_bits(Qcow2 *q, uint64_t entry, uint8_t *bits, GError **error);

/**
 * The table of @to with the bits of @from added; changed parts are new clusters, which are appended
 * to @fresh, and those that they replace to @stale (uint64_t cluster numbers).
 */
uint64_t *qcow2_bitmap_merged(Qcow2 *q, const Qcow2Bitmap *to, Qcow2 *source,
                              const Qcow2Bitmap *from, GArray *fresh, GArray *stale,
                              GError **error);
