/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A table of 32-bit entries with a page cache (table.h has the contract). It has at most 64 pages
 * of 16384 entries, with the index of their first entry as the key. An entry is converted from its
 * byte order when it is read or set, so a page holds the bytes of the file.
 */
#include "table.h"

#include <base/alloc.h>
#include <base/units.h>

#include "bytes.h"
#include "page_cache.h"

#define PAGE_ENTRIES 16384u
#define PAGE_BYTES   (PAGE_ENTRIES * 4)
#define MAX_PAGES    64u

struct CstTable {
    CstPageCache *cache;
    uint64_t offset, entries;
    gboolean big_endian;
};

CstTable *cst_table_new(CstBlob *blob, uint64_t offset, uint64_t entries, gboolean big_endian,
                        gboolean (*spill)(void *owner, GError **error), void *owner)
{
    CstPageCacheHooks hooks = {.spill = spill, .owner = owner};
    CstTable *table = g_new0(CstTable, 1);

    table->cache = cst_page_cache_new(blob, PAGE_BYTES, MAX_PAGES, &hooks);
    table->offset = offset;
    table->entries = entries;
    table->big_endian = big_endian;
    return table;
}

void cst_table_free(CstTable *table)
{
    if (!table)
        return;
    cst_page_cache_free(table->cache);
    g_free(table);
}

static CstPage *load_page(CstTable *table, uint64_t first, GError **error)
{
    CstPageId id = {.key = first,
                    .offset = table->offset + first * 4,
                    .length = (uint32_t)MIN(PAGE_ENTRIES, table->entries - first) * 4};

    return cst_page_cache_get(table->cache, &id, error);
}

static CstPage *page_of(CstTable *table, uint64_t index, GError **error)
{
    uint64_t first = index / PAGE_ENTRIES * PAGE_ENTRIES;
    CstPage *page = cst_page_cache_find(table->cache, first, 0);

    g_assert(index < table->entries);
    return page ? page : load_page(table, first, error);
}

gboolean cst_table_get(CstTable *table, uint64_t index, uint32_t *ret_value, GError **error)
{
    const CstPage *page = page_of(table, index, error);
    const uint8_t *entry;

    if (!page)
        return FALSE;
    entry = page->data + index % PAGE_ENTRIES * 4;
    *ret_value = table->big_endian ? cst_be32(entry) : cst_le32(entry);
    return TRUE;
}

gboolean cst_table_set(CstTable *table, uint64_t index, uint32_t value, GError **error)
{
    size_t at = (size_t)(index % PAGE_ENTRIES) * 4;
    CstPage *page = page_of(table, index, error);

    if (!page)
        return FALSE;
    if (table->big_endian)
        cst_put_be32(page->data + at, value);
    else
        cst_put_le32(page->data + at, value);
    return cst_page_cache_dirty_range(table->cache, page, at, 4, error);
}

gboolean cst_table_is_dirty(const CstTable *table)
{
    return cst_page_cache_dirty_count(table->cache, 0) > 0;
}

gboolean cst_table_write(CstTable *table, GError **error)
{
    return cst_page_cache_write(table->cache, 0, error);
}

gboolean cst_table_fill(CstBlob *blob, uint64_t offset, uint64_t first, uint64_t count,
                        uint32_t value, CstTask *task, GError **error)
{
    size_t room = (size_t)MIN(count, CST_MIB / 4);
    g_autofree uint32_t *chunk = cst_alloc(room, sizeof(uint32_t), blob->name, error);

    if (!chunk)
        return FALSE;
    for (size_t i = 0; i < room; i++)
        chunk[i] = value;
    for (uint64_t done = 0; done < count;) {
        size_t n = (size_t)MIN(room, count - done);

        if (!cst_task_check(task, error) ||
            !cst_blob_pwrite(blob, chunk, n * 4, offset + (first + done) * 4, error))
            return FALSE;
        done += n;
    }
    return TRUE;
}
