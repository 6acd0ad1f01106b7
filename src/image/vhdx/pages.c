/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The cache for sectors of tables and metadata, see pages.h. A dirty sector stays in the cache
 * until it is logged. From then on Logged has a copy; the sector is reloaded from it until the
 * checkpoint has written it to its place. The page cache must never write a dirty sector by itself,
 * so its spill callback fails.
 */
#include "pages.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "log.h"

#define MAX_PAGES 1024u
_Static_assert(MAX_PAGES > VHDX_LOG_PAGES, "what one log entry holds never fills the cache");

/* Sectors that are in the log and not yet in the file, in the order of their offsets. */
typedef struct {
    uint64_t offsets[VHDX_LOG_PAGES];
    uint8_t *content; /* logged content, VHDX_SECTOR bytes each */
    unsigned count;
    unsigned written; /* number of leading sectors that are in the file */
} Logged;

struct VhdxPages {
    CstBlob *blob;
    CstPageCache *cache;
    Logged logged;
};

/* Returns the content of a sector that is only in the log; NULL: not logged. */
static const uint8_t *find_logged(const Logged *logged, uint64_t offset)
{
    for (unsigned i = logged->written; i < logged->count; i++)
        if (logged->offsets[i] == offset)
            return logged->content + (size_t)i * VHDX_SECTOR;
    return NULL;
}

static gboolean vhdx_load_page(void *owner, const CstPageId *id, uint8_t *data, GError **error)
{
    VhdxPages *pages = owner;
    const uint8_t *logged = find_logged(&pages->logged, id->offset);
    uint64_t size = 0, there;

    if (logged) {
        memcpy(data, logged, VHDX_SECTOR);
        return TRUE;
    }
    if (!cst_blob_get_size(pages->blob, &size, error))
        return FALSE;
    there = id->offset < size ? MIN(VHDX_SECTOR, size - id->offset) : 0;
    memset(data + there, 0, VHDX_SECTOR - there);
    return cst_blob_pread(pages->blob, data, there, id->offset, error);
}

/*
 * A sector must not be written before its log entry. vhdx_relieve() prevents a cache full of dirty
 * sectors, so this is never called.
 */
static gboolean refuse_to_spill(void *owner, GError **error)
{
    return cst_fail(error, CST_ERROR_INTERNAL, _("'%s' has more changes than its log can hold"),
                    ((VhdxPages *)owner)->blob->name);
}

VhdxPages *vhdx_pages_new(CstBlob *blob)
{
    VhdxPages *pages = g_new0(VhdxPages, 1);
    CstPageCacheHooks hooks = {.spill = refuse_to_spill, .load = vhdx_load_page, .owner = pages};

    pages->blob = blob;
    pages->cache = cst_page_cache_new(blob, VHDX_SECTOR, MAX_PAGES, &hooks);
    return pages;
}

void vhdx_pages_free(VhdxPages *pages)
{
    if (!pages)
        return;
    cst_page_cache_free(pages->cache);
    g_free(pages->logged.content);
    g_free(pages);
}

CstPage *vhdx_page_get(VhdxPages *pages, uint64_t offset, GError **error)
{
    uint64_t start = offset / VHDX_SECTOR * VHDX_SECTOR;
    CstPageId id = {.key = start, .offset = start, .length = VHDX_SECTOR};

    return cst_page_cache_get(pages->cache, &id, error);
}

gboolean vhdx_page_dirty(VhdxPages *pages, CstPage *page, GError **error)
{
    return cst_page_cache_dirty(pages->cache, page, error);
}

unsigned vhdx_pages_dirty_count(const VhdxPages *pages)
{
    return cst_page_cache_dirty_count(pages->cache, 0);
}

static size_t in_page(uint64_t offset, size_t len)
{
    return MIN(len, VHDX_SECTOR - (size_t)(offset % VHDX_SECTOR));
}

gboolean vhdx_pages_read(VhdxPages *pages, uint64_t offset, void *buf, size_t len, GError **error)
{
    for (size_t done = 0, n; done < len; done += n) {
        const CstPage *page = vhdx_page_get(pages, offset + done, error);

        if (!page)
            return FALSE;
        n = in_page(offset + done, len - done);
        memcpy((uint8_t *)buf + done, page->data + (offset + done) % VHDX_SECTOR, n);
    }
    return TRUE;
}

gboolean vhdx_pages_write(VhdxPages *pages, uint64_t offset, const void *buf, size_t len,
                          GError **error)
{
    for (size_t done = 0, n; done < len; done += n) {
        CstPage *page = vhdx_page_get(pages, offset + done, error);

        if (!page)
            return FALSE;
        n = in_page(offset + done, len - done);
        memcpy(page->data + (offset + done) % VHDX_SECTOR, (const uint8_t *)buf + done, n);
        if (!vhdx_page_dirty(pages, page, error))
            return FALSE;
    }
    return TRUE;
}

CstPage **vhdx_pages_dirty(VhdxPages *pages, GError **error)
{
    return cst_page_cache_dirty_pages(pages->cache, 0, error);
}

void vhdx_pages_logged(VhdxPages *pages, CstPage *const *dirty)
{
    unsigned count = vhdx_pages_dirty_count(pages);
    Logged *logged = &pages->logged;

    g_assert(logged->written == logged->count && count <= VHDX_LOG_PAGES);
    logged->content = g_malloc((size_t)count * VHDX_SECTOR);
    for (unsigned i = 0; i < count; i++) {
        logged->offsets[i] = dirty[i]->id.offset;
        memcpy(logged->content + (size_t)i * VHDX_SECTOR, dirty[i]->data, VHDX_SECTOR);
        cst_page_cache_clean(pages->cache, dirty[i]);
    }
    logged->count = count;
    logged->written = 0;
}

gboolean vhdx_pages_checkpoint(VhdxPages *pages, GError **error)
{
    Logged *logged = &pages->logged;

    for (; logged->written < logged->count; logged->written++)
        if (!cst_blob_pwrite(pages->blob, logged->content + (size_t)logged->written * VHDX_SECTOR,
                             VHDX_SECTOR, logged->offsets[logged->written], error))
            return FALSE;
    g_clear_pointer(&logged->content, g_free);
    return TRUE;
}

void vhdx_pages_clear(VhdxPages *pages)
{
    g_assert(vhdx_pages_dirty_count(pages) == 0 && pages->logged.written == pages->logged.count);
    cst_page_cache_clear(pages->cache);
}
