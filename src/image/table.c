/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table.h"

#include <string.h>

#include <base/units.h>

#include "bytes.h"

#define PAGE_ENTRIES 16384u /* 64 KiB */
#define MAX_PAGES    64u

typedef struct {
    uint64_t number;
    uint64_t used; /* when, in calls */
    uint32_t dirty_first, dirty_end;
    uint8_t data[];
} Page;

struct CstTable {
    CstBlob *blob;
    uint64_t offset, entries;
    gboolean big_endian;
    gboolean (*spill)(void *owner, GError **error);
    void *owner;
    Page *pages[MAX_PAGES];
    unsigned count, dirty;
    GHashTable *places; /* number → page; the key lies in the page */
    Page *last;         /* walks stay in a page for long */
    uint64_t clock;
};

CstTable *cst_table_new(CstBlob *blob, uint64_t offset, uint64_t entries, gboolean big_endian,
                        gboolean (*spill)(void *owner, GError **error), void *owner)
{
    CstTable *table = g_new0(CstTable, 1);

    table->blob = blob;
    table->offset = offset;
    table->entries = entries;
    table->big_endian = big_endian;
    table->spill = spill;
    table->owner = owner;
    table->places = g_hash_table_new(g_int64_hash, g_int64_equal);
    return table;
}

void cst_table_free(CstTable *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < table->count; i++)
        g_free(table->pages[i]);
    g_hash_table_unref(table->places);
    g_free(table);
}

static gboolean is_dirty(const Page *page)
{
    return page->dirty_end > 0;
}

static size_t page_bytes(const CstTable *table, uint64_t number)
{
    return (size_t)MIN(PAGE_ENTRIES, table->entries - number * PAGE_ENTRIES) * 4;
}

/* Makes room: drops the clean page that has been idle longest. */
static gboolean evict(CstTable *table, GError **error)
{
    unsigned best = MAX_PAGES;

    if (table->dirty == table->count && !table->spill(table->owner, error))
        return FALSE;
    for (unsigned i = 0; i < table->count; i++)
        if (!is_dirty(table->pages[i]) &&
            (best == MAX_PAGES || table->pages[i]->used < table->pages[best]->used))
            best = i;
    g_assert(best < MAX_PAGES);
    if (table->last == table->pages[best])
        table->last = NULL;
    g_hash_table_remove(table->places, &table->pages[best]->number);
    g_free(table->pages[best]);
    table->pages[best] = table->pages[--table->count];
    return TRUE;
}

static Page *page_of(CstTable *table, uint64_t index, GError **error)
{
    uint64_t number = index / PAGE_ENTRIES;
    Page *page = table->last;
    size_t bytes;

    if (page && page->number == number)
        return page;
    page = g_hash_table_lookup(table->places, &number);
    if (!page) {
        if (table->count == MAX_PAGES && !evict(table, error))
            return NULL;
        bytes = page_bytes(table, number);
        page = g_malloc(sizeof(*page) + bytes);
        if (!cst_blob_pread(table->blob, page->data, bytes,
                            table->offset + number * PAGE_ENTRIES * 4, error)) {
            g_free(page);
            return NULL;
        }
        page->number = number;
        page->dirty_first = UINT32_MAX;
        page->dirty_end = 0;
        table->pages[table->count++] = page;
        g_hash_table_insert(table->places, &page->number, page);
    }
    page->used = ++table->clock;
    table->last = page;
    return page;
}

gboolean cst_table_get(CstTable *table, uint64_t index, uint32_t *ret_value, GError **error)
{
    const uint8_t *entry;
    Page *page;

    g_assert(index < table->entries);
    page = page_of(table, index, error);
    if (!page)
        return FALSE;
    entry = page->data + index % PAGE_ENTRIES * 4;
    *ret_value = table->big_endian ? cst_be32(entry) : cst_le32(entry);
    return TRUE;
}

gboolean cst_table_set(CstTable *table, uint64_t index, uint32_t value, GError **error)
{
    uint32_t at = (uint32_t)(index % PAGE_ENTRIES);
    Page *page;

    g_assert(index < table->entries);
    page = page_of(table, index, error);
    if (!page)
        return FALSE;
    if (table->big_endian)
        cst_put_be32(page->data + (size_t)at * 4, value);
    else
        memcpy(page->data + (size_t)at * 4, &value, 4);
    if (!is_dirty(page))
        table->dirty++;
    page->dirty_first = MIN(page->dirty_first, at);
    page->dirty_end = MAX(page->dirty_end, at + 1);
    return TRUE;
}

gboolean cst_table_is_dirty(const CstTable *table)
{
    return table->dirty > 0;
}

gboolean cst_table_write(CstTable *table, GError **error)
{
    for (unsigned i = 0; i < table->count && table->dirty > 0; i++) {
        Page *page = table->pages[i];

        if (!is_dirty(page))
            continue;
        if (!cst_blob_pwrite(table->blob, page->data + (size_t)page->dirty_first * 4,
                             (size_t)(page->dirty_end - page->dirty_first) * 4,
                             table->offset + (page->number * PAGE_ENTRIES + page->dirty_first) * 4,
                             error))
            return FALSE;
        page->dirty_first = UINT32_MAX;
        page->dirty_end = 0;
        table->dirty--;
    }
    return TRUE;
}

gboolean cst_table_fill(CstBlob *blob, uint64_t offset, uint64_t first, uint64_t count,
                        uint32_t value, CstTask *task, GError **error)
{
    size_t room = (size_t)MIN(count, CST_MIB / 4);
    g_autofree uint32_t *chunk = g_new(uint32_t, MAX(room, 1));

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
