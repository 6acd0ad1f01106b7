/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A hash table finds pages by group and key. All clean pages are in one list. The last one is
 * evicted, unless it was used since it was added to the list. In that case it gets a second chance
 * at the head ("clock"). Therefore a hit costs one store, and an eviction needs no search. Dirty
 * pages are in a list of their group, so that a write does not visit clean pages.
 */
#include "page_cache.h"

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

static guint hash_id(gconstpointer id)
{
    uint64_t key = ((const CstPageId *)id)->key;

    return (guint)(key ^ key >> 32) + ((const CstPageId *)id)->group;
}

static gboolean equal_ids(gconstpointer a, gconstpointer b)
{
    const CstPageId *left = a, *right = b;

    return left->key == right->key && left->group == right->group;
}

CstPageCache *cst_page_cache_new(CstBlob *blob, size_t page_size, unsigned max_pages,
                                 const CstPageCacheHooks *hooks)
{
    CstPageCache *cache = g_new0(CstPageCache, 1);

    cache->blob = blob;
    cache->page_size = page_size;
    cache->max_pages = max_pages;
    cache->hooks = *hooks;
    cache->pages = g_hash_table_new(hash_id, equal_ids);
    return cache;
}

void cst_page_cache_free(CstPageCache *cache)
{
    if (!cache)
        return;
    cst_page_cache_clear(cache);
    g_hash_table_unref(cache->pages);
    g_free(cache);
}

/* --- finding and loading ---------------------------------------------------------------------- */

static CstPage *page_in_table(CstPageCache *cache, uint64_t key, unsigned group)
{
    CstPageId id = {.key = key, .group = group};

    return g_hash_table_lookup(cache->pages, &id);
}

CstPage *cst_page_cache_look_up(CstPageCache *cache, uint64_t key, unsigned group)
{
    CstPage *page = page_in_table(cache, key, group);

    if (!page)
        return NULL;
    page->used = TRUE;
    cache->last[group] = page;
    return page;
}

/* Removes a page from the hash table. */
static void page_forget(CstPageCache *cache, CstPage *page)
{
    if (page->cached)
        g_hash_table_remove(cache->pages, &page->id);
    page->cached = FALSE;
    if (cache->last[page->id.group] == page)
        cache->last[page->id.group] = NULL;
}

static gboolean pages_write_back(CstPageCache *cache, GError **error)
{
    if (cache->hooks.spill)
        return cache->hooks.spill(cache->hooks.owner, error);
    for (unsigned group = 0; group < CST_PAGE_GROUPS; group++)
        if (!cst_page_cache_write(cache, group, error))
            return FALSE;
    return TRUE;
}

/* Ensures that a page can be added or evicted. The spill hook may have loaded and dropped pages. */
static gboolean make_room(CstPageCache *cache, GError **error)
{
    if (cache->count < cache->max_pages || cache->clean.length > 0)
        return TRUE;
    return pages_write_back(cache, error) &&
           (cache->clean.length > 0 ||
            cst_fail(error, CST_ERROR_INTERNAL, _("the table cache is full of changes")));
}

/* Removes the page to evict from its list, which must not be empty. */
static CstPage *pop_unused(CstPageCache *cache)
{
    CstPage *page = g_queue_pop_tail_link(&cache->clean)->data;

    while (page->used) {
        page->used = FALSE;
        g_queue_push_head_link(&cache->clean, &page->link);
        page = g_queue_pop_tail_link(&cache->clean)->data;
    }
    return page;
}

/* Returns a page for @id, clean, in no list and not yet cached. It is a new page, or an evicted
 * one. NULL without memory for a new page; the cache is unchanged then. */
static CstPage *take_page(CstPageCache *cache, const CstPageId *id, GError **error)
{
    CstPage *page;

    g_assert(id->length <= cache->page_size);
    if (cache->count < cache->max_pages) {
        page = cst_alloc(sizeof(*page) + cache->page_size, 1, cache->blob->name, error);
        if (!page)
            return NULL;
        page->link = (GList){.data = page};
        page->cached = page->used = FALSE;
        cache->count++;
    } else {
        page = pop_unused(cache);
        page_forget(cache, page);
    }
    page->id = *id;
    page->dirty_first = UINT32_MAX;
    page->dirty_end = 0;
    return page;
}

static void page_insert(CstPageCache *cache, CstPage *page)
{
    page->cached = TRUE;
    g_hash_table_insert(cache->pages, &page->id, page);
    g_queue_push_head_link(&cache->clean, &page->link);
    cache->last[page->id.group] = page;
}

static gboolean read_page(CstPageCache *cache, CstPage *page, GError **error)
{
    uint64_t size = 0;

    if (cache->hooks.load)
        return cache->hooks.load(cache->hooks.owner, &page->id, page->data, error);
    if (!cst_blob_get_size(cache->blob, &size, error))
        return FALSE;
    if (page->id.offset > size || page->id.length > size - page->id.offset)
        return cst_fail(error, CST_ERROR_CORRUPT, _("a table of '%s' lies outside the file"),
                        cache->blob->name);
    return cst_blob_pread(cache->blob, page->data, page->id.length, page->id.offset, error);
}

CstPage *cst_page_cache_get(CstPageCache *cache, const CstPageId *id, GError **error)
{
    CstPage *page = cst_page_cache_find(cache, id->key, id->group);

    if (page)
        return page;
    if (!make_room(cache, error))
        return NULL;
    page = cst_page_cache_find(cache, id->key, id->group);
    if (page) /* the spill hook has loaded it */
        return page;
    page = take_page(cache, id, error);
    if (!page)
        return NULL;
    if (!read_page(cache, page, error)) {
        g_queue_push_tail_link(&cache->clean, &page->link);
        return NULL;
    }
    page_insert(cache, page);
    return page;
}

CstPage *cst_page_cache_add(CstPageCache *cache, const CstPageId *id, GError **error)
{
    CstPage *page;

    if (!make_room(cache, error))
        return NULL;
    page = take_page(cache, id, error);
    if (!page)
        return NULL;
    cst_page_cache_drop(cache, id->key, id->group);
    memset(page->data, 0, id->length);
    page_insert(cache, page);
    return cst_page_cache_dirty(cache, page, error) ? page : NULL;
}

/* --- changes ---------------------------------------------------------------------------------- */

gboolean cst_page_cache_dirty_range(CstPageCache *cache, CstPage *page, size_t first, size_t length,
                                    GError **error)
{
    if (!page->cached)
        return cst_fail(error, CST_ERROR_INTERNAL,
                        _("a table of '%s' was dropped while it was being changed"),
                        cache->blob->name);
    if (!cst_page_is_dirty(page)) {
        g_queue_unlink(&cache->clean, &page->link);
        g_queue_push_tail_link(&cache->dirty[page->id.group], &page->link);
    }
    page->dirty_first = MIN(page->dirty_first, (uint32_t)first);
    page->dirty_end = MAX(page->dirty_end, (uint32_t)(first + length));
    return TRUE;
}

/* Removes a page from its list and discards its changes. */
static void unlink_page(CstPageCache *cache, CstPage *page)
{
    GQueue *list = cst_page_is_dirty(page) ? &cache->dirty[page->id.group] : &cache->clean;

    g_queue_unlink(list, &page->link);
    page->dirty_first = UINT32_MAX;
    page->dirty_end = 0;
}

void cst_page_cache_clean(CstPageCache *cache, CstPage *page)
{
    unlink_page(cache, page);
    g_queue_push_head_link(&cache->clean, &page->link);
}

void cst_page_cache_drop(CstPageCache *cache, uint64_t key, unsigned group)
{
    CstPage *page = page_in_table(cache, key, group);

    if (!page)
        return;
    unlink_page(cache, page);
    page_forget(cache, page);
    page->used = FALSE;
    /* not freed, because the caller may use the page until the next one is loaded */
    g_queue_push_tail_link(&cache->clean, &page->link);
}

static void free_pages(GQueue *list)
{
    for (GList *link = list->head, *next; link; link = next) {
        next = link->next;
        g_free(link->data); /* the link is a member of the page */
    }
    g_queue_init(list);
}

void cst_page_cache_clear(CstPageCache *cache)
{
    g_hash_table_remove_all(cache->pages);
    free_pages(&cache->clean);
    for (unsigned group = 0; group < CST_PAGE_GROUPS; group++)
        free_pages(&cache->dirty[group]);
    memset(cache->last, 0, sizeof(cache->last));
    cache->count = 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

unsigned cst_page_cache_dirty_count(const CstPageCache *cache, unsigned group)
{
    return cache->dirty[group].length;
}

static int by_offset(const void *a, const void *b)
{
    const CstPage *left = *(const CstPage *const *)a, *right = *(const CstPage *const *)b;

    return left->id.offset < right->id.offset ? -1 : left->id.offset > right->id.offset;
}

CstPage **cst_page_cache_dirty_pages(CstPageCache *cache, unsigned group, GError **error)
{
    unsigned count = 0;
    CstPage **pages =
        cst_alloc(cache->dirty[group].length, sizeof(*pages), cache->blob->name, error);

    if (!pages)
        return NULL;
    for (GList *link = cache->dirty[group].head; link; link = link->next)
        pages[count++] = link->data;
    qsort(pages, count, sizeof(*pages), by_offset);
    return pages;
}

/* Writes the mirror first, so that readers see the old content if its write fails. */
static gboolean write_page(CstPageCache *cache, const CstPage *page, GError **error)
{
    const uint8_t *data = page->data + page->dirty_first;
    size_t length = page->dirty_end - page->dirty_first;

    return (page->id.mirror == 0 || cst_blob_pwrite(cache->blob, data, length,
                                                    page->id.mirror + page->dirty_first, error)) &&
           cst_blob_pwrite(cache->blob, data, length, page->id.offset + page->dirty_first, error);
}

gboolean cst_page_cache_write(CstPageCache *cache, unsigned group, GError **error)
{
    unsigned count = cst_page_cache_dirty_count(cache, group);
    g_autofree CstPage **pages = cst_page_cache_dirty_pages(cache, group, error);

    if (!pages)
        return FALSE;
    for (unsigned i = 0; i < count; i++) {
        if (!write_page(cache, pages[i], error))
            return FALSE;
        cst_page_cache_clean(cache, pages[i]);
    }
    return TRUE;
}
