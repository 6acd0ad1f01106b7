/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The tables of a two-level image, seen through a write-back cache of pages of 4 KiB. A page begins
 * where its table does or whole pages behind, so it never reaches into a neighbour: with clusters
 * of 512 bytes data lies right behind a table. Only changed entries are written.
 */
#include "levels.h"

#include <base/i18n.h>

#include "bytes.h"

#define PAGE 4096u

struct CstLevelsPage {
    uint64_t key; /* offset of the page, and whether it is one of the L1 table */
    uint64_t offset;
    uint64_t used; /* when, in calls */
    gboolean is_l1;
    uint32_t len;
    uint32_t dirty_first, dirty_end; /* bytes */
    uint8_t data[];
};

static gboolean is_dirty(const CstLevelsPage *page)
{
    return page->dirty_end > 0;
}

static gboolean write_page(CstLevels *levels, CstLevelsPage *page, GError **error)
{
    if (!cst_blob_pwrite(levels->blocks.blob, page->data + page->dirty_first,
                         page->dirty_end - page->dirty_first, page->offset + page->dirty_first,
                         error))
        return FALSE;
    page->dirty_first = UINT32_MAX;
    page->dirty_end = 0;
    if (page->is_l1)
        levels->dirty_l1--;
    else
        levels->dirty_l2--;
    return TRUE;
}

static gboolean write_pages(CstLevels *levels, gboolean l1, GError **error)
{
    for (unsigned i = 0; i < levels->page_count; i++) {
        CstLevelsPage *page = levels->pages[i];

        if (is_dirty(page) && page->is_l1 == l1 && !write_page(levels, page, error))
            return FALSE;
    }
    return TRUE;
}

gboolean cst_levels_sync(CstBlocks *blocks, GError **error)
{
    CstLevels *levels = (CstLevels *)blocks;

    if (levels->dirty_l2 > 0 &&
        (!cst_blocks_barrier(blocks, error) || !write_pages(levels, FALSE, error)))
        return FALSE;
    return levels->dirty_l1 == 0 ||
           (cst_blocks_barrier(blocks, error) && write_pages(levels, TRUE, error));
}

void cst_levels_forget(CstLevels *levels)
{
    g_hash_table_remove_all(levels->places);
    for (unsigned i = 0; i < levels->page_count; i++)
        g_free(levels->pages[i]);
    levels->page_count = levels->dirty_l1 = levels->dirty_l2 = 0;
    levels->last = NULL;
}

/* Drops the clean page that has been idle longest. */
static gboolean evict(CstLevels *levels, GError **error)
{
    unsigned best = CST_LEVELS_PAGES;

    if (levels->dirty_l1 + levels->dirty_l2 == levels->page_count &&
        !cst_levels_sync(&levels->blocks, error))
        return FALSE;
    for (unsigned i = 0; i < levels->page_count; i++)
        if (!is_dirty(levels->pages[i]) &&
            (best == CST_LEVELS_PAGES || levels->pages[i]->used < levels->pages[best]->used))
            best = i;
    g_assert(best < CST_LEVELS_PAGES);
    if (levels->last == levels->pages[best])
        levels->last = NULL;
    g_hash_table_remove(levels->places, &levels->pages[best]->key);
    g_free(levels->pages[best]);
    levels->pages[best] = levels->pages[--levels->page_count];
    return TRUE;
}

static CstLevelsPage *load(CstLevels *levels, uint64_t offset, uint32_t len, gboolean is_l1,
                           GError **error)
{
    CstLevelsPage *page;

    if (levels->page_count == CST_LEVELS_PAGES && !evict(levels, error))
        return NULL;
    page = g_malloc(sizeof(*page) + len);
    if (!cst_blob_pread(levels->blocks.blob, page->data, len, offset, error)) {
        g_free(page);
        return NULL;
    }
    page->key = offset << 1 | (is_l1 ? 1 : 0);
    page->offset = offset;
    page->is_l1 = is_l1;
    page->len = len;
    page->dirty_first = UINT32_MAX;
    page->dirty_end = 0;
    levels->pages[levels->page_count++] = page;
    g_hash_table_insert(levels->places, &page->key, page);
    return page;
}

/* The page of a table of @bytes that has the entry; the table lies in the file. */
static CstLevelsPage *page_of(CstLevels *levels, uint64_t table, uint64_t bytes, uint64_t index,
                              gboolean is_l1, GError **error)
{
    uint64_t inside = index * 8 / PAGE * PAGE, key = (table + inside) << 1 | (is_l1 ? 1 : 0);
    CstLevelsPage *page = levels->last;

    if (!page || page->key != key)
        page = g_hash_table_lookup(levels->places, &key);
    if (!page)
        page = load(levels, table + inside, (uint32_t)MIN(PAGE, bytes - inside), is_l1, error);
    if (!page)
        return NULL;
    page->used = ++levels->clock;
    levels->last = page;
    return page;
}

static uint64_t get(const CstLevels *levels, const CstLevelsPage *page, uint64_t index)
{
    const uint8_t *entry = page->data + index * 8 % PAGE;

    return levels->format->big_endian ? cst_be64(entry) : cst_le64(entry);
}

static void set(CstLevels *levels, CstLevelsPage *page, uint64_t index, uint64_t value)
{
    uint32_t at = (uint32_t)(index * 8 % PAGE);

    if (levels->format->big_endian)
        cst_put_be64(page->data + at, value);
    else
        cst_put_le64(page->data + at, value);
    if (!is_dirty(page)) {
        if (page->is_l1)
            levels->dirty_l1++;
        else
            levels->dirty_l2++;
    }
    page->dirty_first = MIN(page->dirty_first, at);
    page->dirty_end = MAX(page->dirty_end, at + 8);
}

/* --- the two tables --------------------------------------------------------------------------- */

/* Of a table that the file is too short for, which is only read, the entries that are there. */
static CstLevelsPage *l1_page(CstLevels *levels, uint64_t index, GError **error)
{
    uint64_t size = 0, at = levels->l1_offset;
    CstLevelsPage *page;

    g_assert(index < levels->l1_entries);
    if (!cst_blob_get_size(levels->blocks.blob, &size, error))
        return NULL;
    if (at % levels->l2_align != 0) {
        cst_levels_corrupt(levels, error, _("a table is not aligned"));
        return NULL;
    }
    if (at > size || (index + 1) * 8 > size - at) {
        cst_levels_corrupt(levels, error, _("a table lies outside the file"));
        return NULL;
    }
    page = page_of(levels, at, MIN(levels->l1_entries * 8, size - at), index, TRUE, error);
    /* it was read when the file was shorter */
    if (page && index * 8 % PAGE + 8 > page->len) {
        cst_levels_corrupt(levels, error, _("a table lies outside the file"));
        return NULL;
    }
    return page;
}

gboolean cst_levels_check_l1(const CstLevels *levels, CstBlob *blob, GError **error)
{
    uint64_t size = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    return (levels->l1_offset <= size && levels->l1_entries <= (size - levels->l1_offset) / 8) ||
           cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), blob->name,
                    _("a table lies outside the file"));
}

gboolean cst_levels_table_is_sound(const CstLevels *levels, uint64_t table, uint64_t file_size)
{
    return table % levels->l2_align == 0 && table <= file_size &&
           cst_levels_l2_bytes(levels) <= file_size - table;
}

/* Only where nothing is allocated may a table reach beyond the end of the file. */
static CstLevelsPage *l2_page(CstLevels *levels, uint64_t table, uint64_t index, GError **error)
{
    uint64_t size = 0, bytes = cst_levels_l2_bytes(levels), needed;
    CstLevelsPage *page = NULL;

    g_assert(index < levels->l2_entries);
    needed = cst_levels_is_read_only(levels) ? (index + 1) * 8 : bytes;
    if (!cst_blob_get_size(levels->blocks.blob, &size, error))
        return NULL;
    if (table % levels->l2_align != 0) {
        cst_levels_corrupt(levels, error, _("a table is not aligned"));
        return NULL;
    }
    if (table <= size && needed <= size - table) {
        page = page_of(levels, table, MIN(bytes, size - table), index, FALSE, error);
        if (!page || index * 8 % PAGE + 8 <= page->len)
            return page;
    }
    cst_levels_corrupt(levels, error, _("a table lies outside the file"));
    return NULL;
}

gboolean cst_levels_l1_get(CstLevels *levels, uint64_t index, uint64_t *ret_entry, GError **error)
{
    const CstLevelsPage *page = l1_page(levels, index, error);

    if (page)
        *ret_entry = get(levels, page, index);
    return page != NULL;
}

gboolean cst_levels_l1_set(CstLevels *levels, uint64_t index, uint64_t entry, GError **error)
{
    CstLevelsPage *page = l1_page(levels, index, error);

    if (page)
        set(levels, page, index, entry);
    return page != NULL;
}

gboolean cst_levels_l2_get(CstLevels *levels, uint64_t table, uint64_t index, uint64_t *ret_entry,
                           GError **error)
{
    const CstLevelsPage *page = l2_page(levels, table, index, error);

    if (page)
        *ret_entry = get(levels, page, index);
    return page != NULL;
}

gboolean cst_levels_l2_set(CstLevels *levels, uint64_t table, uint64_t index, uint64_t entry,
                           GError **error)
{
    CstLevelsPage *page = l2_page(levels, table, index, error);

    if (page)
        set(levels, page, index, entry);
    return page != NULL;
}
