/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/units.h>

#include "vpc.h"

/* The sector bitmaps of blocks lately used, written back. */
#define CACHE_BYTES (2 * CST_MIB)
#define CACHE_MIN   4

struct VpcBitmap {
    uint64_t host;
    uint64_t used; /* when, in calls */
    gboolean dirty;
    uint8_t bits[];
};

void vpc_bitmap_init(Vpc *vpc)
{
    vpc->bitmaps = g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

void vpc_bitmap_forget(Vpc *vpc)
{
    g_hash_table_remove_all(vpc->bitmaps);
    vpc->dirty_bitmaps = 0;
}

/* Makes room: drops the clean bitmap that has been idle longest. */
static gboolean evict(Vpc *vpc, GError **error)
{
    GHashTableIter iter;
    gpointer key, value, best_key = NULL;
    VpcBitmap *best = NULL;

    if (vpc->dirty_bitmaps == g_hash_table_size(vpc->bitmaps) &&
        !cst_blocks_sync(&vpc->blocks, error))
        return FALSE;
    g_hash_table_iter_init(&iter, vpc->bitmaps);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        VpcBitmap *bitmap = value;

        if (!bitmap->dirty && (!best || bitmap->used < best->used)) {
            best = bitmap;
            best_key = key;
        }
    }
    g_hash_table_remove(vpc->bitmaps, best_key);
    return TRUE;
}

/* The slot for a block's bitmap; *ret_found tells whether it holds it. */
static VpcBitmap *slot_for(Vpc *vpc, uint32_t block, uint64_t host, gboolean *ret_found,
                           GError **error)
{
    VpcBitmap *bitmap = g_hash_table_lookup(vpc->bitmaps, GUINT_TO_POINTER(block));

    *ret_found = bitmap != NULL;
    if (!bitmap) {
        if (g_hash_table_size(vpc->bitmaps) >=
                MAX(CACHE_BYTES / vpc->header.bitmap_size, CACHE_MIN) &&
            !evict(vpc, error))
            return NULL;
        bitmap = g_malloc0(sizeof(*bitmap) + vpc->header.bitmap_size);
    }
    bitmap->host = host;
    bitmap->used = ++vpc->clock;
    return bitmap;
}

static VpcBitmap *bitmap_of(Vpc *vpc, uint32_t block, uint64_t host, GError **error)
{
    gboolean found;
    VpcBitmap *bitmap = slot_for(vpc, block, host, &found, error);

    if (!bitmap || found)
        return bitmap;
    if (!cst_blob_pread(vpc->blocks.blob, bitmap->bits, vpc->header.bitmap_size, host, error)) {
        g_free(bitmap);
        return NULL;
    }
    g_hash_table_insert(vpc->bitmaps, GUINT_TO_POINTER(block), bitmap);
    return bitmap;
}

static gboolean is_valid(const VpcBitmap *bitmap, uint32_t sector)
{
    return (bitmap->bits[sector / 8] & 0x80 >> sector % 8) != 0;
}

gboolean vpc_bitmap_run(Vpc *vpc, uint32_t block, uint64_t host, uint32_t first, uint32_t count,
                        gboolean *ret_valid, uint32_t *ret_run, GError **error)
{
    VpcBitmap *bitmap = bitmap_of(vpc, block, host, error);
    uint32_t run = 1;
    gboolean valid;
    uint8_t alike;

    if (!bitmap)
        return FALSE;
    valid = is_valid(bitmap, first);
    alike = valid ? 0xff : 0;
    while (run < count) {
        uint32_t at = first + run;

        if (at % 8 == 0 && count - run >= 8 && bitmap->bits[at / 8] == alike)
            run += 8;
        else if (is_valid(bitmap, at) == valid)
            run++;
        else
            break;
    }
    *ret_valid = valid;
    *ret_run = run;
    return TRUE;
}

static void set_bits(VpcBitmap *bitmap, uint32_t first, uint32_t count)
{
    for (uint32_t at = first; at < first + count;) {
        if (at % 8 == 0 && first + count - at >= 8) {
            bitmap->bits[at / 8] = 0xff;
            at += 8;
        } else {
            bitmap->bits[at / 8] |= (uint8_t)(0x80 >> at % 8);
            at++;
        }
    }
}

gboolean vpc_bitmap_set(Vpc *vpc, uint32_t block, uint64_t host, uint32_t first, uint32_t count,
                        GError **error)
{
    VpcBitmap *bitmap = bitmap_of(vpc, block, host, error);

    if (!bitmap)
        return FALSE;
    set_bits(bitmap, first, count);
    if (!bitmap->dirty)
        vpc->dirty_bitmaps++;
    bitmap->dirty = TRUE;
    return TRUE;
}

gboolean vpc_bitmap_write_new(Vpc *vpc, uint32_t block, uint64_t host, uint32_t first,
                              uint32_t count, GError **error)
{
    gboolean found, ok;
    VpcBitmap *bitmap = slot_for(vpc, block, host, &found, error);

    if (!bitmap)
        return FALSE;
    memset(bitmap->bits, 0, vpc->header.bitmap_size);
    set_bits(bitmap, first, count);
    ok = cst_blob_pwrite(vpc->blocks.blob, bitmap->bits, vpc->header.bitmap_size, host, error);
    if (ok && !found)
        g_hash_table_insert(vpc->bitmaps, GUINT_TO_POINTER(block), bitmap);
    else if (!found)
        g_free(bitmap);
    return ok;
}

gboolean vpc_bitmap_sync(Vpc *vpc, GError **error)
{
    GHashTableIter iter;
    gpointer value;

    if (vpc->dirty_bitmaps == 0)
        return TRUE;
    g_hash_table_iter_init(&iter, vpc->bitmaps);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VpcBitmap *bitmap = value;

        if (!bitmap->dirty)
            continue;
        if (!cst_blob_pwrite(vpc->blocks.blob, bitmap->bits, vpc->header.bitmap_size, bitmap->host,
                             error))
            return FALSE;
        bitmap->dirty = FALSE;
        vpc->dirty_bitmaps--;
    }
    return TRUE;
}
