/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pages.h"

#include <string.h>

#include "log.h"

#define MAX_IDLE 1024 /* 4 MiB of sectors that are not changed */

typedef struct {
    uint64_t offset;
    gboolean changed;
    uint8_t *logged; /* what the log holds and the file does not yet */
    GList link;      /* in pages->idle, while neither */
    uint8_t bytes[VHDX_SECTOR];
} Page;

struct VhdxPages {
    CstBlob *blob;
    GHashTable *by_offset;
    GQueue idle; /* used last first */
    unsigned changed;
    unsigned logged;
};

static void free_page(gpointer data)
{
    Page *page = data;

    g_free(page->logged);
    g_free(page);
}

VhdxPages *vhdx_pages_new(CstBlob *blob)
{
    VhdxPages *pages = g_new0(VhdxPages, 1);

    pages->blob = blob;
    pages->by_offset = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_page);
    g_queue_init(&pages->idle);
    return pages;
}

void vhdx_pages_free(VhdxPages *pages)
{
    if (!pages)
        return;
    g_hash_table_unref(pages->by_offset);
    g_free(pages);
}

static gboolean is_idle(const Page *page)
{
    return !page->changed && !page->logged;
}

static void make_room(VhdxPages *pages)
{
    Page *page;

    if (pages->idle.length < MAX_IDLE)
        return;
    page = g_queue_peek_tail(&pages->idle);
    g_queue_unlink(&pages->idle, &page->link);
    g_hash_table_remove(pages->by_offset, &page->offset);
}

static gboolean load(VhdxPages *pages, Page *page, GError **error)
{
    uint64_t size = 0, there;

    if (!cst_blob_get_size(pages->blob, &size, error))
        return FALSE;
    there = page->offset < size ? MIN(VHDX_SECTOR, size - page->offset) : 0;
    return cst_blob_pread(pages->blob, page->bytes, there, page->offset, error);
}

uint8_t *vhdx_page_get(VhdxPages *pages, uint64_t offset, GError **error)
{
    uint64_t key = offset / VHDX_SECTOR * VHDX_SECTOR;
    Page *page = g_hash_table_lookup(pages->by_offset, &key);

    if (page) {
        if (is_idle(page)) {
            g_queue_unlink(&pages->idle, &page->link);
            g_queue_push_head_link(&pages->idle, &page->link);
        }
        return page->bytes;
    }
    page = g_new0(Page, 1);
    page->offset = key;
    page->link.data = page;
    if (!load(pages, page, error)) {
        g_free(page);
        return NULL;
    }
    make_room(pages);
    g_hash_table_insert(pages->by_offset, &page->offset, page);
    g_queue_push_head_link(&pages->idle, &page->link);
    return page->bytes;
}

void vhdx_page_changed(VhdxPages *pages, uint64_t offset)
{
    uint64_t key = offset / VHDX_SECTOR * VHDX_SECTOR;
    Page *page = g_hash_table_lookup(pages->by_offset, &key);

    g_assert(page);
    if (page->changed)
        return;
    if (is_idle(page))
        g_queue_unlink(&pages->idle, &page->link);
    page->changed = TRUE;
    pages->changed++;
}

unsigned vhdx_pages_changed(const VhdxPages *pages)
{
    return pages->changed;
}

static int by_offset(gconstpointer a, gconstpointer b)
{
    const Page *left = *(const Page *const *)a, *right = *(const Page *const *)b;

    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

/* Pages for which @wanted holds, by offset. */
static GPtrArray *pick(const VhdxPages *pages, gboolean logged)
{
    GPtrArray *found = g_ptr_array_new();
    GHashTableIter each;
    gpointer value;

    g_hash_table_iter_init(&each, pages->by_offset);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        Page *page = value;

        if (logged ? page->logged != NULL : page->changed)
            g_ptr_array_add(found, page);
    }
    g_ptr_array_sort(found, by_offset);
    return found;
}

static size_t in_page(uint64_t offset, size_t len)
{
    return MIN(len, VHDX_SECTOR - (size_t)(offset % VHDX_SECTOR));
}

gboolean vhdx_pages_read(VhdxPages *pages, uint64_t offset, void *buf, size_t len, GError **error)
{
    for (size_t done = 0, n; done < len; done += n) {
        const uint8_t *page = vhdx_page_get(pages, offset + done, error);

        if (!page)
            return FALSE;
        n = in_page(offset + done, len - done);
        memcpy((uint8_t *)buf + done, page + (offset + done) % VHDX_SECTOR, n);
    }
    return TRUE;
}

gboolean vhdx_pages_write(VhdxPages *pages, uint64_t offset, const void *buf, size_t len,
                          GError **error)
{
    for (size_t done = 0, n; done < len; done += n) {
        uint8_t *page = vhdx_page_get(pages, offset + done, error);

        if (!page)
            return FALSE;
        n = in_page(offset + done, len - done);
        memcpy(page + (offset + done) % VHDX_SECTOR, (const uint8_t *)buf + done, n);
        vhdx_page_changed(pages, offset + done);
    }
    return TRUE;
}

unsigned vhdx_pages_list(const VhdxPages *pages, uint64_t *offsets, const uint8_t **contents,
                         unsigned max)
{
    g_autoptr(GPtrArray) found = pick(pages, FALSE);
    unsigned count = MIN(found->len, max);

    for (unsigned i = 0; i < count; i++) {
        const Page *page = g_ptr_array_index(found, i);

        offsets[i] = page->offset;
        contents[i] = page->bytes;
    }
    return count;
}

void vhdx_pages_logged(VhdxPages *pages)
{
    g_autoptr(GPtrArray) found = pick(pages, FALSE);

    for (guint i = 0; i < found->len; i++) {
        Page *page = g_ptr_array_index(found, i);

        pages->logged += page->logged == NULL;
        g_free(page->logged);
        page->logged = g_memdup2(page->bytes, VHDX_SECTOR);
        page->changed = FALSE;
    }
    pages->changed = 0;
}

gboolean vhdx_pages_place(VhdxPages *pages, GError **error)
{
    g_autoptr(GPtrArray) found = NULL;

    if (pages->logged == 0)
        return TRUE;
    found = pick(pages, TRUE);
    for (guint i = 0; i < found->len; i++) {
        Page *page = g_ptr_array_index(found, i);

        if (!cst_blob_pwrite(pages->blob, page->logged, VHDX_SECTOR, page->offset, error))
            return FALSE;
        g_clear_pointer(&page->logged, g_free);
        pages->logged--;
        if (is_idle(page))
            g_queue_push_head_link(&pages->idle, &page->link);
    }
    return TRUE;
}

void vhdx_pages_drop(VhdxPages *pages)
{
    g_assert(pages->changed == 0 && pages->logged == 0);
    g_queue_init(&pages->idle);
    g_hash_table_remove_all(pages->by_offset);
}
