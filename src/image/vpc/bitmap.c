/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The sector bitmap before each block, one bit for each sector; the first sector is the highest bit
 * of a byte. Bitmaps are pages of a cache (page_cache.h), keyed by their offset in the file. The
 * bitmap of a new block is written at once, before the table refers to the block. Changes to the
 * bitmap of an older block are written by the next sync, after a barrier for the data.
 */
#include <base/units.h>

#include "vpc.h"

#define CACHE_BYTES     (2 * CST_MIB)
#define CACHE_MIN_PAGES 4

CstPageCache *vpc_bitmap_new_cache(Vpc *vpc)
{
    CstPageCacheHooks hooks = {.spill = cst_blocks_spill, .owner = &vpc->blocks};
    uint64_t pages = MAX(CACHE_BYTES / vpc->header.bitmap_size, CACHE_MIN_PAGES);

    return cst_page_cache_new(vpc->blocks.blob, vpc->header.bitmap_size, (unsigned)pages, &hooks);
}

static CstPageId page_id(const Vpc *vpc, uint64_t host)
{
    return (CstPageId){.key = host, .offset = host, .length = vpc->header.bitmap_size};
}

static CstPage *load_bitmap(Vpc *vpc, uint64_t host, GError **error)
{
    CstPageId id = page_id(vpc, host);

    return cst_page_cache_get(vpc->bitmaps, &id, error);
}

static CstPage *bitmap_at(Vpc *vpc, uint64_t host, GError **error)
{
    CstPage *page = cst_page_cache_find(vpc->bitmaps, host, 0);

    return page ? page : load_bitmap(vpc, host, error);
}

static gboolean is_valid(const CstPage *bitmap, uint32_t sector)
{
    return (bitmap->data[sector / 8] & 0x80 >> sector % 8) != 0;
}

gboolean vpc_bitmap_run(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count,
                        gboolean *ret_valid, uint32_t *ret_run, GError **error)
{
    const CstPage *bitmap = bitmap_at(vpc, host, error);
    uint32_t run = 1;
    gboolean valid;
    uint8_t alike;

    if (!bitmap)
        return FALSE;
    valid = is_valid(bitmap, first);
    alike = valid ? 0xff : 0;
    while (run < count) {
        uint32_t at = first + run;

        if (at % 8 == 0 && count - run >= 8 && bitmap->data[at / 8] == alike)
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

static void set_bits(CstPage *bitmap, uint32_t first, uint32_t count)
{
    for (uint32_t at = first; at < first + count;) {
        if (at % 8 == 0 && first + count - at >= 8) {
            bitmap->data[at / 8] = 0xff;
            at += 8;
        } else {
            bitmap->data[at / 8] |= (uint8_t)(0x80 >> at % 8);
            at++;
        }
    }
}

gboolean vpc_bitmap_set(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count, GError **error)
{
    CstPage *bitmap = bitmap_at(vpc, host, error);

    if (!bitmap)
        return FALSE;
    set_bits(bitmap, first, count);
    return cst_page_cache_dirty(vpc->bitmaps, bitmap, error);
}

gboolean vpc_bitmap_write_new(Vpc *vpc, uint64_t host, uint32_t first, uint32_t count,
                              GError **error)
{
    CstPageId id = page_id(vpc, host);
    CstPage *bitmap = cst_page_cache_add(vpc->bitmaps, &id, error);

    if (!bitmap)
        return FALSE;
    set_bits(bitmap, first, count);
    if (!cst_blob_pwrite(vpc->blocks.blob, bitmap->data, id.length, host, error)) {
        cst_page_cache_drop(vpc->bitmaps, host, 0);
        return FALSE;
    }
    cst_page_cache_clean(vpc->bitmaps, bitmap);
    return TRUE;
}
