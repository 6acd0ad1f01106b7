/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <blob/sparse.h>

#include <string.h>

#include <base/error.h>
#include <base/units.h>

#define PAGE (64 * CST_KIB)

/* Pages by their number; one that is missing is a hole. */
typedef struct {
    CstBlob head;
    GMutex lock;
    GTree *pages;
    uint64_t size;
} CstSparseBlob;

static uint8_t *page_at(CstSparseBlob *sparse, uint64_t offset)
{
    return g_tree_lookup(sparse->pages, GSIZE_TO_POINTER(offset / PAGE));
}

static int by_number(gconstpointer a, gconstpointer b, gpointer unused)
{
    return GPOINTER_TO_SIZE(a) < GPOINTER_TO_SIZE(b) ? -1
                                                     : GPOINTER_TO_SIZE(a) > GPOINTER_TO_SIZE(b);
}

/* Offset of the first page at @offset's or behind it; UINT64_MAX: there is none. */
static uint64_t next_page(CstSparseBlob *sparse, uint64_t offset)
{
    GTreeNode *node = g_tree_lower_bound(sparse->pages, GSIZE_TO_POINTER(offset / PAGE));

    return node ? GPOINTER_TO_SIZE(g_tree_node_key(node)) * PAGE : UINT64_MAX;
}

/* Called with the lock held; NULL with @error when there are too many pages. */
static uint8_t *make_page(CstSparseBlob *sparse, uint64_t offset, GError **error)
{
    uint8_t *page = page_at(sparse, offset);

    if (page)
        return page;
    if ((uint64_t)g_tree_nnodes(sparse->pages) >= CST_BLOB_MEMORY_MAX / PAGE) {
        cst_fail(error, CST_ERROR_NO_SPACE, "'%s' is full", sparse->head.name);
        return NULL;
    }
    page = g_malloc0(PAGE);
    g_tree_insert(sparse->pages, GSIZE_TO_POINTER(offset / PAGE), page);
    return page;
}

/* Bytes from @offset to the end of its page, or to the end of the range. */
static size_t piece(uint64_t offset, uint64_t length)
{
    return (size_t)MIN(length, PAGE - offset % PAGE);
}

static gboolean sparse_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    CstSparseBlob *sparse = (CstSparseBlob *)blob;
    uint8_t *to = buf;

    g_mutex_lock(&sparse->lock);
    for (size_t n; len > 0; to += n, offset += n, len -= n) {
        const uint8_t *page = page_at(sparse, offset);

        n = piece(offset, len);
        if (page)
            memcpy(to, page + offset % PAGE, n);
        else
            memset(to, 0, n);
    }
    g_mutex_unlock(&sparse->lock);
    return TRUE;
}

static gboolean sparse_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    CstSparseBlob *sparse = (CstSparseBlob *)blob;

    g_mutex_lock(&sparse->lock);
    *ret_size = sparse->size;
    g_mutex_unlock(&sparse->lock);
    return TRUE;
}

static void sparse_close(CstBlob *blob)
{
    CstSparseBlob *sparse = (CstSparseBlob *)blob;

    g_tree_unref(sparse->pages);
    g_mutex_clear(&sparse->lock);
    g_free(sparse);
}

static gboolean sparse_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                              GError **error)
{
    CstSparseBlob *sparse = (CstSparseBlob *)blob;
    const uint8_t *from = buf;
    gboolean ok = TRUE;

    g_mutex_lock(&sparse->lock);
    for (size_t n; ok && len > 0; from += n, offset += n, len -= n) {
        uint8_t *page;

        n = piece(offset, len);
        page = make_page(sparse, offset, error);
        ok = page != NULL;
        if (ok) {
            memcpy(page + offset % PAGE, from, n);
            sparse->size = MAX(sparse->size, offset + n);
        }
    }
    g_mutex_unlock(&sparse->lock);
    return ok;
}

static gboolean sparse_flush(CstBlob *blob, GError **error)
{
    return TRUE;
}

static gboolean sparse_extent(CstBlob *blob, uint64_t offset, uint64_t length,
                              CstExtent *ret_extent, GError **error)
{
    CstSparseBlob *sparse = (CstSparseBlob *)blob;
    uint64_t end = offset + length, at = offset;
    gboolean data;

    g_mutex_lock(&sparse->lock);
    data = page_at(sparse, offset) != NULL;
    if (!data)
        at = MIN(next_page(sparse, offset), end);
    while (data && at < end && page_at(sparse, at))
        at += piece(at, end - at);
    g_mutex_unlock(&sparse->lock);
    *ret_extent = (CstExtent){offset, at - offset,
                              data ? CST_EXTENT_DATA : CST_EXTENT_HOLE | CST_EXTENT_ZERO};
    return TRUE;
}

/* Called with the lock held. */
static void clear(CstSparseBlob *sparse, uint64_t offset, uint64_t end)
{
    while (offset < end && (offset = MAX(offset, next_page(sparse, offset))) < end) {
        size_t n = piece(offset, end - offset);

        if (n == PAGE)
            g_tree_remove(sparse->pages, GSIZE_TO_POINTER(offset / PAGE));
        else
            memset(page_at(sparse, offset) + offset % PAGE, 0, n);
        offset += n;
    }
}

static gboolean sparse_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                            GError **error)
{
    CstSparseBlob *sparse = (CstSparseBlob *)blob;

    g_mutex_lock(&sparse->lock);
    clear(sparse, offset, offset + length);
    g_mutex_unlock(&sparse->lock);
    return TRUE;
}

static gboolean sparse_discard(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return sparse_zero(blob, offset, length, 0, error);
}

static gboolean sparse_resize(CstBlob *blob, uint64_t size, GError **error)
{
    CstSparseBlob *sparse = (CstSparseBlob *)blob;

    g_mutex_lock(&sparse->lock);
    if (size < sparse->size)
        clear(sparse, size, (sparse->size + PAGE - 1) / PAGE * PAGE);
    sparse->size = size;
    g_mutex_unlock(&sparse->lock);
    return TRUE;
}

static const CstBlobOps sparse_ops = {
    .kind = "sparse",
    .pread = sparse_pread,
    .get_size = sparse_get_size,
    .close = sparse_close,
    .pwrite = sparse_pwrite,
    .flush = sparse_flush,
    .extent = sparse_extent,
    .zero = sparse_zero,
    .discard = sparse_discard,
    .resize = sparse_resize,
};

CstBlob *cst_blob_sparse_new(uint64_t size)
{
    CstSparseBlob *sparse = g_new0(CstSparseBlob, 1);

    cst_blob_init(&sparse->head, &sparse_ops, "sparse", TRUE);
    g_mutex_init(&sparse->lock);
    sparse->pages = g_tree_new_full(by_number, NULL, NULL, g_free);
    sparse->size = size;
    return &sparse->head;
}

CstBlob *cst_blob_sparse_copy(CstBlob *blob)
{
    CstSparseBlob *sparse = (CstSparseBlob *)blob, *copy;

    g_mutex_lock(&sparse->lock);
    copy = (CstSparseBlob *)cst_blob_sparse_new(sparse->size);
    for (GTreeNode *node = g_tree_node_first(sparse->pages); node; node = g_tree_node_next(node))
        g_tree_insert(copy->pages, g_tree_node_key(node), g_memdup2(g_tree_node_value(node), PAGE));
    g_mutex_unlock(&sparse->lock);
    return &copy->head;
}

uint64_t cst_blob_sparse_used(CstBlob *blob)
{
    CstSparseBlob *sparse = (CstSparseBlob *)blob;
    uint64_t used;

    g_mutex_lock(&sparse->lock);
    used = (uint64_t)g_tree_nnodes(sparse->pages) * PAGE;
    g_mutex_unlock(&sparse->lock);
    return used;
}
