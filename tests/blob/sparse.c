/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A sparse blob in memory, for tests: a tree of the written pages of 64 KiB; a missing page is a
 * hole. It can also simulate a file system with reflinks. Sharing then copies the bytes, counts
 * them, and accepts only requests that such a file system would accept (whole units, pairs of
 * lowest blobs).
 *
 * One mutex guards the pages, the size and the counters.
 */
#include <blob/sparse.h>

#include <string.h>

#include <base/error.h>
#include <base/units.h>

#define PAGE (64 * CST_KIB)

typedef struct {
    CstBlob head;
    GMutex lock;
    GTree *pages; /* page number to its PAGE bytes */
    uint64_t size;
    uint64_t share_unit;   /* 0: cannot share */
    unsigned refusals;     /* remaining number of attempts to share that fail */
    uint64_t shared, read; /* bytes, for queries by tests */
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

/* Returns the offset of the first page that ends after @offset; UINT64_MAX: no such page. */
static uint64_t next_page(CstSparseBlob *sparse, uint64_t offset)
{
    GTreeNode *node = g_tree_lower_bound(sparse->pages, GSIZE_TO_POINTER(offset / PAGE));

    return node ? GPOINTER_TO_SIZE(g_tree_node_key(node)) * PAGE : UINT64_MAX;
}

/* Called with the lock held. NO_SPACE if CST_BLOB_MEMORY_MAX is reached. */
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

/* Returns the bytes from @offset to the end of its page, or to the end of the range. */
static size_t bytes_in_page(uint64_t offset, uint64_t length)
{
    return (size_t)MIN(length, PAGE - offset % PAGE);
}

/* Called with the lock held. */
static void read_locked(CstSparseBlob *sparse, uint8_t *to, size_t len, uint64_t offset)
{
    for (size_t n; len > 0; to += n, offset += n, len -= n) {
        const uint8_t *page = page_at(sparse, offset);

        n = bytes_in_page(offset, len);
        if (page)
            memcpy(to, page + offset % PAGE, n);
        else
            memset(to, 0, n);
    }
}

static gboolean sparse_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    CstSparseBlob *sparse = (CstSparseBlob *)blob;

    g_mutex_lock(&sparse->lock);
    /* Tests query the number of read bytes to verify that a copy has shared extents. */
    sparse->read += len;
    read_locked(sparse, buf, len, offset);
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

        n = bytes_in_page(offset, len);
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
    /* Consecutive pages form one run. */
    while (data && at < end && page_at(sparse, at))
        at += bytes_in_page(at, end - at);
    g_mutex_unlock(&sparse->lock);
    *ret_extent = (CstExtent){offset, at - offset,
                              data ? CST_EXTENT_DATA : CST_EXTENT_HOLE | CST_EXTENT_ZERO};
    return TRUE;
}

/* Called with the lock held. */
static void punch_hole(CstSparseBlob *sparse, uint64_t offset, uint64_t end)
{
    while (offset < end && (offset = MAX(offset, next_page(sparse, offset))) < end) {
        size_t n = bytes_in_page(offset, end - offset);

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
    punch_hole(sparse, offset, offset + length);
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
    /*
     * The removed bytes must read as zeroes if the blob grows again, up to the end of the last
     * page.
     */
    if (size < sparse->size)
        punch_hole(sparse, size, cst_round_up(sparse->size, PAGE));
    sparse->size = size;
    g_mutex_unlock(&sparse->lock);
    return TRUE;
}

/* --- simulated sharing of extents ------------------------------------------------------------- */

static uint64_t sparse_share_unit(CstBlob *blob)
{
    return ((CstSparseBlob *)blob)->share_unit;
}

static gboolean may_share(CstSparseBlob *src, CstBlob *dst, uint64_t offsets, GError **error)
{
    uint64_t unit = MAX(src->share_unit, cst_blob_share_unit(dst));
    gboolean refused = src->share_unit == 0 || cst_blob_share_unit(dst) == 0 ||
                       dst->ops->take_shared || (offsets & (unit - 1));

    g_mutex_lock(&src->lock);
    if (!refused && src->refusals > 0) {
        src->refusals--;
        refused = TRUE;
    }
    g_mutex_unlock(&src->lock);
    return !refused ||
           cst_fail(error, CST_ERROR_UNSUPPORTED, "'%s' does not share this", src->head.name);
}

/*
 * Copies one run to @to in @dst. A hole stays a hole. The lock is not held across calls of @dst,
 * which may be @src itself.
 */
static gboolean copy_run(CstSparseBlob *src, CstBlob *dst, uint64_t to, const CstExtent *run,
                         GError **error)
{
    g_autofree uint8_t *buf = NULL;
    uint64_t size = 0;

    if (!cst_blob_get_size(dst, &size, error))
        return FALSE;
    if (run->flags & CST_EXTENT_ZERO)
        return (size >= to + run->length || cst_blob_resize(dst, to + run->length, error)) &&
               cst_blob_zero(dst, to, run->length, CST_ZERO_MAY_UNMAP, error);
    buf = g_malloc(run->length);
    g_mutex_lock(&src->lock);
    read_locked(src, buf, run->length, run->offset);
    src->shared += run->length;
    g_mutex_unlock(&src->lock);
    return cst_blob_pwrite(dst, buf, run->length, to, error);
}

static gboolean sparse_copy_range(CstBlob *src, uint64_t src_offset, CstBlob *dst,
                                  uint64_t dst_offset, uint64_t length, gboolean share_only,
                                  GError **error)
{
    CstSparseBlob *sparse = (CstSparseBlob *)src;
    CstExtent run;

    if (!share_only)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, "'%s' only shares", src->name);
    if (!may_share(sparse, dst, src_offset | dst_offset | length, error))
        return FALSE;
    for (uint64_t done = 0; done < length; done += run.length)
        if (!sparse_extent(src, src_offset + done, MIN(length - done, CST_MIB), &run, error) ||
            !copy_run(sparse, dst, dst_offset + done, &run, error))
            return FALSE;
    return TRUE;
}

void cst_blob_sparse_enable_sharing(CstBlob *blob, uint64_t unit, unsigned refusals)
{
    CstSparseBlob *sparse = (CstSparseBlob *)blob;

    sparse->share_unit = unit;
    sparse->refusals = refusals;
}

uint64_t cst_blob_sparse_shared(CstBlob *blob)
{
    return ((CstSparseBlob *)blob)->shared;
}

uint64_t cst_blob_sparse_read(CstBlob *blob)
{
    return ((CstSparseBlob *)blob)->read;
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
    .copy_range = sparse_copy_range,
    .share_unit = sparse_share_unit,
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
