/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The tables of a two-level image, accessed through a page cache (page_cache.h) of 4 MiB. A page
 * begins at the start of its table or a multiple of the page size after it, and ends with the
 * table. So it never includes adjacent data: with clusters of 512 bytes, data may directly follow a
 * table. Only the changed range is written.
 */
#include "levels.h"

#include <base/i18n.h>

#include "bytes.h"

#define PAGE      4096u
#define MAX_PAGES 1024u

/* Groups of pages, in the order in which they are written. */
enum { L2, L1 };

CstPageCache *cst_levels_new_cache(CstLevels *levels)
{
    CstPageCacheHooks hooks = {.spill = cst_blocks_spill, .owner = &levels->blocks};

    return cst_page_cache_new(levels->blocks.blob, PAGE, MAX_PAGES, &hooks);
}

static gboolean write_group(CstLevels *levels, unsigned group, GError **error)
{
    return cst_page_cache_dirty_count(levels->cache, group) == 0 ||
           (cst_blocks_barrier(&levels->blocks, error) &&
            cst_page_cache_write(levels->cache, group, error));
}

gboolean cst_levels_sync(CstBlocks *blocks, GError **error)
{
    CstLevels *levels = (CstLevels *)blocks;

    return write_group(levels, L2, error) && write_group(levels, L1, error);
}

static CstPage *load_page(CstLevels *levels, uint64_t table, uint64_t bytes, uint64_t inside,
                          unsigned group, GError **error)
{
    CstPageId id = {.key = table + inside,
                    .offset = table + inside,
                    .length = (uint32_t)MIN(PAGE, bytes - inside),
                    .group = group};

    return cst_page_cache_get(levels->cache, &id, error);
}

/* Returns the page with the entry, of a table of @bytes within the file. */
static CstPage *page_of(CstLevels *levels, uint64_t table, uint64_t bytes, uint64_t index,
                        unsigned group, GError **error)
{
    uint64_t inside = index * 8 / PAGE * PAGE;
    CstPage *page = cst_page_cache_find(levels->cache, table + inside, group);

    return page ? page : load_page(levels, table, bytes, inside, group, error);
}

static uint64_t entry_get(const CstLevels *levels, const CstPage *page, uint64_t index)
{
    const uint8_t *entry = page->data + index * 8 % PAGE;

    return levels->format->big_endian ? cst_be64(entry) : cst_le64(entry);
}

static gboolean entry_set(CstLevels *levels, CstPage *page, uint64_t index, uint64_t value,
                          GError **error)
{
    size_t at = (size_t)(index * 8 % PAGE);

    if (levels->format->big_endian)
        cst_put_be64(page->data + at, value);
    else
        cst_put_le64(page->data + at, value);
    return cst_page_cache_dirty_range(levels->cache, page, at, 8, error);
}

/* --- the two tables --------------------------------------------------------------------------- */

/*
 * Returns the page with an L1 entry. In a read-only image, the table may exceed the end of the
 * file; its existing part can be read.
 */
static CstPage *l1_page(CstLevels *levels, uint64_t index, GError **error)
{
    uint64_t size = 0, at = levels->l1_offset;
    CstPage *page;

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
    page = page_of(levels, at, MIN(levels->l1_entries * 8, size - at), index, L1, error);
    /* the page was read when the file was shorter */
    if (page && index * 8 % PAGE + 8 > page->id.length) {
        cst_levels_corrupt(levels, error, _("a table lies outside the file"));
        return NULL;
    }
    return page;
}

gboolean cst_levels_check_l1(const CstLevels *levels, CstBlob *blob, GError **error)
{
    const char *what = NULL;
    uint64_t size = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (levels->l1_offset > size || levels->l1_entries > (size - levels->l1_offset) / 8)
        what = _("a table lies outside the file");
    else if (levels->l1_offset < levels->header.length)
        what = _("a table lies over other parts of the image");
    return !what || cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), blob->name, what);
}

/* Returns whether an L2 table at @table would overlap the header or the L1 table. */
static gboolean lies_over(const CstLevels *levels, uint64_t table)
{
    return table < levels->header.length ||
           (table < levels->l1_offset + levels->l1_entries * 8 &&
            levels->l1_offset < table + cst_levels_l2_bytes(levels));
}

gboolean cst_levels_table_is_sound(const CstLevels *levels, uint64_t table, uint64_t file_size)
{
    return table % levels->l2_align == 0 && table <= file_size &&
           cst_levels_l2_bytes(levels) <= file_size - table && !lies_over(levels, table);
}

/*
 * Returns the page with an L2 entry. Only in a read-only image may a table exceed the end of the
 * file or overlap other parts of the image.
 */
static CstPage *l2_page(CstLevels *levels, uint64_t table, uint64_t index, GError **error)
{
    uint64_t size = 0, bytes = cst_levels_l2_bytes(levels), needed;
    CstPage *page = NULL;

    g_assert(index < levels->l2_entries);
    needed = cst_levels_is_read_only(levels) ? (index + 1) * 8 : bytes;
    if (!cst_blob_get_size(levels->blocks.blob, &size, error))
        return NULL;
    if (table % levels->l2_align != 0) {
        cst_levels_corrupt(levels, error, _("a table is not aligned"));
        return NULL;
    }
    if (!cst_levels_is_read_only(levels) && lies_over(levels, table)) {
        cst_levels_corrupt(levels, error, _("a table lies over other parts of the image"));
        return NULL;
    }
    if (table <= size && needed <= size - table) {
        page = page_of(levels, table, MIN(bytes, size - table), index, L2, error);
        if (!page || index * 8 % PAGE + 8 <= page->id.length)
            return page;
    }
    cst_levels_corrupt(levels, error, _("a table lies outside the file"));
    return NULL;
}

gboolean cst_levels_l1_get(CstLevels *levels, uint64_t index, uint64_t *ret_entry, GError **error)
{
    const CstPage *page = l1_page(levels, index, error);

    if (page)
        *ret_entry = entry_get(levels, page, index);
    return page != NULL;
}

gboolean cst_levels_l1_set(CstLevels *levels, uint64_t index, uint64_t entry, GError **error)
{
    CstPage *page = l1_page(levels, index, error);

    return page && entry_set(levels, page, index, entry, error);
}

gboolean cst_levels_l2_get(CstLevels *levels, uint64_t table, uint64_t index, uint64_t *ret_entry,
                           GError **error)
{
    const CstPage *page = l2_page(levels, table, index, error);

    if (page)
        *ret_entry = entry_get(levels, page, index);
    return page != NULL;
}

gboolean cst_levels_l2_set(CstLevels *levels, uint64_t table, uint64_t index, uint64_t entry,
                           GError **error)
{
    CstPage *page = l2_page(levels, table, index, error);

    return page && entry_set(levels, page, index, entry, error);
}
