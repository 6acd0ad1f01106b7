/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * A bounded write-back cache of pages of an image's tables. The formats decide what a page is: a
 * whole table of qcow2, 4 KiB of one of QED. Not locked: the image's lock covers it.
 *
 * A CstPage is valid until the next call that may load a page (get, add) or clears the cache. The
 * spill hook may load pages too, so whatever may spill counts as such a call.
 *
 * No call puts a barrier between writes. An owner whose tables must reach the disk in an order puts
 * them into groups, and writes one group, its barrier, and the next.
 */
#define CST_PAGE_GROUPS 2

/** Which page, and where it is stored. */
typedef struct {
    uint64_t key;    /**< identifies the page in its group; often the offset */
    uint64_t offset; /**< in the file */
    uint64_t mirror; /**< where a redundant copy is written, ahead of the page; 0: there is none */
    uint32_t length; /**< bytes; at most the cache's page size */
    uint32_t group;  /**< less than CST_PAGE_GROUPS */
} CstPageId;

typedef struct {
    CstPageId id;
    /* the cache's own */
    uint32_t dirty_first, dirty_end; /* bytes to write; an end of 0: the page is clean */
    gboolean cached;                 /* FALSE: it was dropped, and its memory waits for reuse */
    gboolean used;                   /* since it was loaded or was last in line to be evicted */
    GList link;                      /* in the list of clean pages or of its group's dirty ones */
    /** Content. Report changes with cst_page_cache_dirty(). */
    uint8_t data[];
} CstPage;

typedef struct {
    /**
     * Called when a page is needed and all are dirty: must write some, in the owner's order. NULL:
     * the cache writes its groups one after the other, without barriers.
     */
    gboolean (*spill)(void *owner, GError **error);
    /** Reads the content of a page into @data. NULL: all of it is read from the file at its
     *  offset; CORRUPT when it lies outside. */
    gboolean (*load)(void *owner, const CstPageId *id, uint8_t *data, GError **error);
    void *owner;
} CstPageCacheHooks;

typedef struct {
    /* all the cache's own; here for cst_page_cache_find() */
    CstBlob *blob;
    size_t page_size;
    unsigned max_pages, count;
    CstPageCacheHooks hooks;
    GHashTable *pages; /* CstPageId → CstPage; the key is part of the page */
    GQueue clean;      /* next to evict is the last; dropped pages are there */
    GQueue dirty[CST_PAGE_GROUPS];
    CstPage *last[CST_PAGE_GROUPS]; /* found last: walks stay in one page for long */
} CstPageCache;

/**
 * A cache of at most @max_pages pages of up to @page_size bytes each. @blob is borrowed; @hooks is
 * copied.
 */
CstPageCache *cst_page_cache_new(CstBlob *blob, size_t page_size, unsigned max_pages,
                                 const CstPageCacheHooks *hooks);
/** Frees the cache; changes that were not written are lost. NULL is allowed. */
void cst_page_cache_free(CstPageCache *cache);

static inline gboolean cst_page_is_dirty(const CstPage *page)
{
    return page->dirty_end > 0;
}

/** As cst_page_cache_find(), by the hash table. */
CstPage *cst_page_cache_look_up(CstPageCache *cache, uint64_t key, unsigned group);
/**
 * The page with @key in @group if it is cached, else NULL. Quick for the page of the group that was
 * found last, so a walk over the entries of a table may call it for each one.
 */
static inline CstPage *cst_page_cache_find(CstPageCache *cache, uint64_t key, unsigned group)
{
    CstPage *page = cache->last[group];

    if (!page || page->id.key != key)
        return cst_page_cache_look_up(cache, key, group);
    page->used = TRUE;
    return page;
}
/** The page with the key and group of @id, loaded as @id says when it is not cached. */
CstPage *cst_page_cache_get(CstPageCache *cache, const CstPageId *id, GError **error);
/** A new page of zeroes in place of any that is cached for @id. It is dirty; nothing is read. When
 *  the call fails, the cached one stays. */
CstPage *cst_page_cache_add(CstPageCache *cache, const CstPageId *id, GError **error);

/**
 * Marks @length bytes (> 0) of @page from @first on dirty. One range of a page is written: from its
 * first dirty byte to its last. INTERNAL when the page was dropped meanwhile.
 */
gboolean cst_page_cache_dirty_range(CstPageCache *cache, CstPage *page, size_t first, size_t length,
                                    GError **error);
/** Marks the whole of @page dirty. */
static inline gboolean cst_page_cache_dirty(CstPageCache *cache, CstPage *page, GError **error)
{
    return cst_page_cache_dirty_range(cache, page, 0, page->id.length, error);
}

/** Forgets the page with @key in @group, changes included, if it is cached. */
void cst_page_cache_drop(CstPageCache *cache, uint64_t key, unsigned group);
/** Forgets all pages, changes included. */
void cst_page_cache_clear(CstPageCache *cache);

/** Number of dirty pages in the group. */
unsigned cst_page_cache_dirty_count(const CstPageCache *cache, unsigned group);
/** The group's dirty pages (borrowed), cst_page_cache_dirty_count() of them, ordered by offset.
 * Free the array. */
CstPage **cst_page_cache_dirty_pages(CstPageCache *cache, unsigned group, GError **error);
/** Marks a dirty page clean without writing it: its owner has stored the content elsewhere. */
void cst_page_cache_clean(CstPageCache *cache, CstPage *page);
/**
 * Writes the dirty bytes of the group's pages, ordered by offset. A page whose write fails, and
 * those behind it, stay dirty.
 */
gboolean cst_page_cache_write(CstPageCache *cache, unsigned group, GError **error);
