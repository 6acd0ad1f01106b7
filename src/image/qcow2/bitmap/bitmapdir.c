/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Parses and packs the bitmap directory, and reads the tables of bitmaps.
 *
 * Offsets, sizes and counts are compared with the file's size and the limits of bitmapdir.h before
 * memory is allocated for them. Unknown types of bitmaps, unknown flags and extra data are
 * preserved. qcow2_bitmap_is_usable() decides whether the bits of a bitmap are reliable.
 */
#include "bitmapdir.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"

#define FIXED 24 /* bytes of an entry before its extra data */

uint64_t qcow2_bitmap_entry_len(uint64_t extra_size, uint64_t name_size)
{
    return cst_round_up(FIXED + extra_size + name_size, 8);
}

void qcow2_bitmap_clear(Qcow2Bitmap *bitmap)
{
    g_free(bitmap->extra);
    g_free(bitmap->name);
    memset(bitmap, 0, sizeof(*bitmap));
}

static void clear_element(void *element)
{
    qcow2_bitmap_clear(element);
}

GArray *qcow2_bitmaps_new(void)
{
    GArray *bitmaps = g_array_new(FALSE, TRUE, sizeof(Qcow2Bitmap));

    g_array_set_clear_func(bitmaps, clear_element);
    return bitmaps;
}

static gboolean check_inside(Qcow2 *q, uint64_t offset, uint64_t bytes, const char *what,
                             GError **error)
{
    uint64_t size = 0;

    if (!cst_blob_get_size(q->blocks.blob, &size, error))
        return FALSE;
    return (offset % q->cluster_size == 0 && offset >= q->cluster_size && offset <= size &&
            bytes <= size - offset) ||
           qcow2_corrupt(q, error, what);
}

static gboolean parse_entry(Qcow2 *q, const uint8_t *raw, uint64_t room, GArray *bitmaps,
                            uint64_t *ret_len, GError **error)
{
    Qcow2Bitmap bitmap = {0};
    uint32_t name_size;
    uint64_t len;

    if (room < FIXED)
        return qcow2_corrupt(q, error, _("the bitmap directory is too short"));
    name_size = cst_be16(raw + 18);
    bitmap.extra_size = cst_be32(raw + 20);
    len = qcow2_bitmap_entry_len(bitmap.extra_size, name_size);
    if (name_size == 0 || name_size > QCOW2_MAX_BITMAP_NAME || len > room)
        return qcow2_corrupt(q, error, _("an entry of the bitmap directory is damaged"));
    bitmap.table_offset = cst_be64(raw);
    bitmap.table_size = cst_be32(raw + 8);
    bitmap.flags = cst_be32(raw + 12);
    bitmap.type = raw[16];
    bitmap.granularity_bits = raw[17];
    bitmap.extra = cst_memdup(raw + FIXED, bitmap.extra_size, q->blocks.blob->name, error);
    if (!bitmap.extra)
        return FALSE;
    bitmap.name = g_strndup((const char *)raw + FIXED + bitmap.extra_size, name_size);
    g_array_append_val(bitmaps, bitmap);
    *ret_len = len;
    return TRUE;
}

GArray *qcow2_bitmaps_read(Qcow2 *q, GError **error)
{
    const Qcow2Header *header = &q->header;
    g_autoptr(GArray) bitmaps = qcow2_bitmaps_new();
    g_autofree uint8_t *raw = NULL;
    const char *bad_directory = _("the bitmap directory has a bad place or size");
    uint64_t at = 0;

    if (!qcow2_bitmaps_are_valid(q))
        return g_steal_pointer(&bitmaps);
    if (header->bitmaps == 0 || header->bitmaps > QCOW2_MAX_BITMAPS ||
        header->bitmaps_bytes > QCOW2_MAX_BITMAP_BYTES) {
        qcow2_corrupt(q, error, bad_directory);
        return NULL;
    }
    if (!check_inside(q, header->bitmaps_offset, header->bitmaps_bytes, bad_directory, error))
        return NULL;
    raw = cst_alloc(header->bitmaps_bytes, 1, q->blocks.blob->name, error);
    if (!raw ||
        !cst_blob_pread(q->blocks.blob, raw, header->bitmaps_bytes, header->bitmaps_offset, error))
        return NULL;
    for (uint32_t i = 0; i < header->bitmaps; i++) {
        uint64_t len = 0;

        if (!parse_entry(q, raw + at, header->bitmaps_bytes - at, bitmaps, &len, error))
            return NULL;
        g_array_index(bitmaps, Qcow2Bitmap, i).at = at;
        at += len;
    }
    if (at != header->bitmaps_bytes) {
        qcow2_corrupt(q, error, _("the bitmap directory has a bad size"));
        return NULL;
    }
    return g_steal_pointer(&bitmaps);
}

static uint64_t entry_bytes(const Qcow2Bitmap *bitmap)
{
    return qcow2_bitmap_entry_len(bitmap->extra_size, strlen(bitmap->name));
}

uint8_t *qcow2_bitmaps_pack(const GArray *bitmaps, const char *name, uint64_t *ret_len,
                            GError **error)
{
    uint64_t bytes = 0;
    uint8_t *out, *raw;

    for (guint i = 0; i < bitmaps->len; i++)
        bytes += entry_bytes(&g_array_index(bitmaps, Qcow2Bitmap, i));
    out = raw = cst_alloc0(bytes, 1, name, error);
    for (guint i = 0; out && i < bitmaps->len; i++) {
        const Qcow2Bitmap *bitmap = &g_array_index(bitmaps, Qcow2Bitmap, i);
        size_t name_size = strlen(bitmap->name);

        cst_put_be64(raw, bitmap->table_offset);
        cst_put_be32(raw + 8, bitmap->table_size);
        cst_put_be32(raw + 12, bitmap->flags);
        raw[16] = bitmap->type;
        raw[17] = bitmap->granularity_bits;
        cst_put_be16(raw + 18, (uint16_t)name_size);
        cst_put_be32(raw + 20, bitmap->extra_size);
        if (bitmap->extra_size > 0)
            memcpy(raw + FIXED, bitmap->extra, bitmap->extra_size);
        memcpy(raw + FIXED + bitmap->extra_size, bitmap->name, name_size);
        raw += entry_bytes(bitmap);
    }
    *ret_len = bytes;
    return out;
}

uint64_t qcow2_bitmap_entries(const Qcow2 *q, uint64_t size, unsigned granularity_bits)
{
    uint64_t bits = cst_div_up(size, UINT64_C(1) << granularity_bits);

    return cst_div_up(bits, q->cluster_size * 8);
}

gboolean qcow2_bitmap_is_usable(const Qcow2 *q, const Qcow2Bitmap *bitmap)
{
    return !(bitmap->flags & ~(QCOW2_BITMAP_AUTO | QCOW2_BITMAP_EXTRA_OK)) &&
           bitmap->type == QCOW2_BITMAP_DIRTY_TYPE &&
           bitmap->granularity_bits >= QCOW2_MIN_GRANULARITY &&
           bitmap->granularity_bits <= QCOW2_MAX_GRANULARITY &&
           bitmap->table_size ==
               qcow2_bitmap_entries(q, q->header.size, bitmap->granularity_bits) &&
           (bitmap->extra_size == 0 || (bitmap->flags & QCOW2_BITMAP_EXTRA_OK));
}

uint64_t *qcow2_bitmap_table(Qcow2 *q, const Qcow2Bitmap *bitmap, GError **error)
{
    uint64_t bytes = (uint64_t)bitmap->table_size * 8;
    const char *bad_table = _("a bitmap's table has a bad place or size");
    g_autofree uint64_t *table = NULL;

    if (bitmap->table_size > QCOW2_MAX_BITMAP_TABLE) {
        qcow2_corrupt(q, error, bad_table);
        return NULL;
    }
    if (bytes > 0 && !check_inside(q, bitmap->table_offset, bytes, bad_table, error))
        return NULL;
    table = cst_alloc(bytes, 1, q->blocks.blob->name, error);
    if (!table || !cst_blob_pread(q->blocks.blob, table, bytes, bitmap->table_offset, error))
        return NULL;
    for (uint32_t i = 0; i < bitmap->table_size; i++)
        table[i] = cst_be64((const uint8_t *)&table[i]);
    return g_steal_pointer(&table);
}
