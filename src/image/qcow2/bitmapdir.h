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

/** An array of Qcow2Bitmap that clears its elements. CORRUPT when the directory is damaged. */
GArray *qcow2_bitmaps_read(Qcow2 *q, GError **error);
GArray *qcow2_bitmaps_new(void);
/** The directory's bytes. */
uint8_t *qcow2_bitmaps_pack(const GArray *bitmaps, uint64_t *ret_len);

/** The table's entries in host order. CORRUPT when it lies outside of the file. */
uint64_t *qcow2_bitmap_table(Qcow2 *q, const Qcow2Bitmap *bitmap, GError **error);
