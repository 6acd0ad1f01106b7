/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * A bounded write-back cache of pages of an image's tables. The format defines the page: a whole
 * table of qcow2, 4 KiB of a table of QED. The cache has no lock; the image's lock guards it.
 *
 * A CstPage is valid until the next call that may load a page (get, add) or clears the cache. The
 * spill hook may load pages too, so a call that may spill counts as such a call.
 *
 * No call issues a barrier between writes. An owner whose tables must reach the disk in an order
 * puts them into groups. It writes one group, a barrier, and the next group.
 */
#define CST_PAGE_GROUPS 2

/** Identity and location of a page. */
typedef struct {
    uint64_t key;    /**< identifies the page in its group; often the offset */
    uint64_t offset; /**< in the file */
    uint64_t mirror; /**< location of a redundant copy, which is written before the page; 0: no
                          copy */
    uint32_t length; /**< bytes; at most the cache's page size */
    uint32_t group;  /**< less than CST_PAGE_GROUPS */
} CstPageId;

typedef struct {
    CstPageId id;
    /* private to the cache */
    uint32_t dirty_first, dirty_end; /* bytes to write; an end of 0: the page is clean */
    gboolean cached;                 /* FALSE: it was dropped, and its memory is kept for reuse */
    gboolean used;                   /* used since it was loaded or became the next page to evict */
    GList link;                      /* in the list of clean pages or of its group's dirty pages */
    /** Content. Report changes with cst_page_cache_dirty(). */
    uint8_t data[];
} CstPage;

typedef struct {
    /**
     * Called when a page is needed and all pages are dirty. Must write some of them, in the owner's
     * order. NULL: the cache writes its groups one after the other, without barriers.
     */
    gboolean (*spill)(void *owner, GError **error);
    /** Reads the content of a page into @data. NULL: the cache reads the whole page from the file;
     * CORRUPT when its location is outside. */
    gboolean (*load)(void *owner, const CstPageId *id, uint8_t *data, GError **error);
    void *owner;
} CstPageCacheHooks;

typedef struct {
    /* private to the cache; declared here for cst_page_cache_find() */
    CstBlob *blob;
    size_t page_size;
    unsigned max_pages, count;
    CstPageCacheHooks hooks;
    GHashTable *pages; /* CstPageId → CstPage; the key is part of the page */
    GQueue clean;      /* the last page is evicted next; has dropped pages too */
    GQueue dirty[CST_PAGE_GROUPS];
    CstPage *last[CST_PAGE_GROUPS]; /* page that was found last, because walks use one page many
                                       times */
} CstPageCache;

/**
 * Creates a cache of at most @max_pages pages of up to @page_size bytes each. Borrows @blob, copies
 * @hooks.
 */
CstPageCache *cst_page_cache_new(CstBlob *blob, size_t page_size, unsigned max_pages,
                                 const CstPageCacheHooks *hooks);
/** Frees the cache. Unwritten changes are lost. @cache may be NULL. */
void cst_page_cache_free(CstPageCache *cache);

static inline gboolean cst_page_is_dirty(const CstPage *page)
{
    return page->dirty_end > 0;
}

/** Like cst_page_cache_find(), through the hash table. */
CstPage *cst_page_cache_look_up(CstPageCache *cache, uint64_t key, unsigned group);
/**
 * Returns the page with @key in @group if it is cached, else NULL. Fast for the page of the group
 * that was found last, so a walk over the entries of a table may call it for each entry.
 */
static inline CstPage *cst_page_cache_find(CstPageCache *cache, uint64_t key, unsigned group)
{
    CstPage *page = cache->last[group];

    if (!page || page->id.key != key)
        return cst_page_cache_look_up(cache, key, group);
    page->used = TRUE;
    return page;
}
/** Returns the page with the key and group of @id. Loads it by @id if it is not cached. */
CstPage *cst_page_cache_get(CstPageCache *cache, const CstPageId *id, GError **error);
/** Returns a new dirty page of zeroes for @id, which replaces a cached one. Reads no data. After a
 * failure the cached page remains. */
CstPage *cst_page_cache_add(CstPageCache *cache, const CstPageId *id, GError **error);

/**
 * Marks @length bytes (> 0) of @page from @first on dirty. A page is written in one range, from its
 * first dirty byte to its last. INTERNAL when the page was dropped after the caller got it.
 */
gboolean cst_page_cache_dirty_range(CstPageCache *cache, CstPage *page, size_t first, size_t length,
                                    GError **error);
/** Marks the whole of @page dirty. */
static inline gboolean cst_page_cache_dirty(CstPageCache *cache, CstPage *page, GError **error)
{
    return cst_page_cache_dirty_range(cache, page, 0, page->id.length, error);
}

/** Drops the page with @key in @group if it is cached, even if it is dirty. */
void cst_page_cache_drop(CstPageCache *cache, uint64_t key, unsigned group);
/** Drops all pages, even dirty ones. */
void cst_page_cache_clear(CstPageCache *cache);

/** Returns the number of dirty pages in the group. */
unsigned cst_page_cache_dirty_count(const CstPageCache *cache, unsigned group);
/** Returns the group's dirty pages, cst_page_cache_dirty_count() of them, ordered by offset. The
 * pages are borrowed. The caller frees the array. */
CstPage **cst_page_cache_dirty_pages(CstPageCache *cache, unsigned group, GError **error);
/** Marks a dirty page clean without writing it, because its owner has stored the content
 * elsewhere. */
void cst_page_cache_clean(CstPageCache *cache, CstPage *page);
/**
 * Writes the dirty bytes of the group's pages, ordered by offset. After a failed write, that page
 * and the following pages stay dirty.
 */
gboolean cst_page_cache_write(CstPageCache *cache, unsigned group, GError **error);
