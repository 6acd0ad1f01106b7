/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A copy-on-write layer whose changes are discarded.
 *
 * Writes are stored in pages in memory. Reads use these pages, and otherwise the blob below, which
 * is never changed. In a dry run files are opened for writing with this layer. So a change of an
 * image's metadata runs to its end, with all checks, and the file stays unchanged.
 *
 * Memory is bounded by DRY_MAX. An operation that writes more moves data, not only metadata, and
 * performs no further checks after this amount. It ends with DRY_RUN.
 *
 * One mutex guards the pages, the sizes and the reads of the blob below.
 */
#include <blob/dry.h>

#include <errno.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define PAGE    4096u
#define DRY_MAX (16 * CST_MIB) /* bytes written in total, including overwrites */

typedef struct {
    CstBlob head;
    CstBlob *below;    /* owned; NULL: no blob below */
    GMutex lock;       /* guards the following fields */
    GHashTable *pages; /* page number to its PAGE bytes, which replace the bytes below */
    uint64_t size;
    uint64_t visible; /* readable bytes of the blob below; truncation lowers it permanently */
    uint64_t changed; /* bytes written in total, at most DRY_MAX */
} DryBlob;

/* Called with the lock held. Bytes past the end of the blob below read as zeroes. */
static gboolean read_page(DryBlob *dry, uint64_t number, uint8_t *page, GError **error)
{
    const uint8_t *own = g_hash_table_lookup(dry->pages, GSIZE_TO_POINTER(number));
    uint64_t start = number * PAGE;
    size_t shown = start < dry->visible ? (size_t)MIN(PAGE, dry->visible - start) : 0;

    if (own) {
        memcpy(page, own, PAGE);
        return TRUE;
    }
    memset(page + shown, 0, PAGE - shown);
    return shown == 0 || cst_blob_pread(dry->below, page, shown, start, error);
}

static gboolean read_locked(DryBlob *dry, uint8_t *buf, size_t len, uint64_t offset, GError **error)
{
    uint8_t page[PAGE];

    while (len > 0) {
        size_t inside = (size_t)(offset % PAGE), n = MIN(len, PAGE - inside);

        if (!read_page(dry, offset / PAGE, page, error))
            return FALSE;
        memcpy(buf, page + inside, n);
        buf += n;
        offset += n;
        len -= n;
    }
    return TRUE;
}

static gboolean dry_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    DryBlob *dry = (DryBlob *)blob;
    gboolean ok;

    g_mutex_lock(&dry->lock);
    ok = read_locked(dry, buf, len, offset, error);
    g_mutex_unlock(&dry->lock);
    return ok;
}

static gboolean dry_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    DryBlob *dry = (DryBlob *)blob;

    g_mutex_lock(&dry->lock);
    *ret_size = dry->size;
    g_mutex_unlock(&dry->lock);
    return TRUE;
}

/* Called with the lock held. @buf NULL: writes zeroes. */
static gboolean write_locked(DryBlob *dry, const uint8_t *buf, uint64_t len, uint64_t offset,
                             GError **error)
{
    if (len > DRY_MAX - dry->changed)
        return cst_fail(error, CST_ERROR_DRY_RUN, _("a dry run ends before '%s' is changed"),
                        dry->head.name);
    dry->changed += len;
    dry->size = MAX(dry->size, offset + len);
    while (len > 0) {
        uint64_t number = offset / PAGE;
        size_t inside = (size_t)(offset % PAGE), n = (size_t)MIN(len, PAGE - inside);
        g_autofree uint8_t *page = g_malloc(PAGE);

        /* A partially written page begins with the content below. */
        if (n < PAGE && !read_page(dry, number, page, error))
            return FALSE;
        if (buf)
            memcpy(page + inside, buf, n);
        else
            memset(page + inside, 0, n);
        g_hash_table_replace(dry->pages, GSIZE_TO_POINTER(number), g_steal_pointer(&page));
        buf = buf ? buf + n : NULL;
        offset += n;
        len -= n;
    }
    return TRUE;
}

static gboolean dry_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    DryBlob *dry = (DryBlob *)blob;
    gboolean ok;

    g_mutex_lock(&dry->lock);
    ok = write_locked(dry, buf, len, offset, error);
    g_mutex_unlock(&dry->lock);
    return ok;
}

static gboolean dry_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                         GError **error)
{
    DryBlob *dry = (DryBlob *)blob;
    gboolean ok;

    g_mutex_lock(&dry->lock);
    ok = write_locked(dry, NULL, length, offset, error);
    g_mutex_unlock(&dry->lock);
    return ok;
}

static gboolean is_past_end(gpointer number, gpointer page, gpointer size)
{
    return GPOINTER_TO_SIZE(number) * PAGE >= *(const uint64_t *)size;
}

static gboolean dry_resize(CstBlob *blob, uint64_t size, GError **error)
{
    DryBlob *dry = (DryBlob *)blob;
    uint8_t *last;

    g_mutex_lock(&dry->lock);
    g_hash_table_foreach_remove(dry->pages, is_past_end, &size);
    /* The removed bytes must read as zeroes if the blob grows again. */
    last = g_hash_table_lookup(dry->pages, GSIZE_TO_POINTER(size / PAGE));
    if (last)
        memset(last + size % PAGE, 0, PAGE - size % PAGE);
    dry->visible = MIN(dry->visible, size);
    dry->size = size;
    g_mutex_unlock(&dry->lock);
    return TRUE;
}

/* The layer is not persistent. */
static gboolean dry_flush(CstBlob *blob, GError **error)
{
    return TRUE;
}

/* Succeeds, because the free space is unknown before the real call. */
static gboolean dry_allocate(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return TRUE;
}

static void dry_close(CstBlob *blob)
{
    DryBlob *dry = (DryBlob *)blob;

    g_clear_pointer(&dry->below, cst_blob_unref);
    g_hash_table_unref(dry->pages);
    g_mutex_clear(&dry->lock);
    g_free(dry);
}

/* A lock changes no content, and a dry run should report the conflicts of a real run. */
static int dry_lock(CstBlob *blob, int command, struct flock *lock)
{
    CstBlob *below = ((DryBlob *)blob)->below;

    if (below)
        return cst_blob_lock(below, command, lock);
    errno = EOPNOTSUPP;
    return -1;
}

static int dry_node_fd(CstBlob *blob)
{
    CstBlob *below = ((DryBlob *)blob)->below;

    return below ? cst_blob_node_fd(below) : -1;
}

static const CstBlobOps dry_ops = {
    .kind = "dry run",
    .pread = dry_pread,
    .get_size = dry_get_size,
    .close = dry_close,
    .pwrite = dry_pwrite,
    .flush = dry_flush,
    .zero = dry_zero,
    .allocate = dry_allocate,
    .resize = dry_resize,
    .lock = dry_lock,
    .node_fd = dry_node_fd,
};

CstBlob *cst_blob_dry_new(CstBlob *below, const char *name)
{
    DryBlob *dry = g_new0(DryBlob, 1);

    cst_blob_init(&dry->head, &dry_ops, name, TRUE);
    g_mutex_init(&dry->lock);
    dry->pages = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    dry->below = below;
    /* Cannot fail, because an open blob knows its size. */
    if (below)
        cst_blob_get_size(below, &dry->size, NULL);
    dry->visible = dry->size;
    return &dry->head;
}

CstBlob *cst_blob_dry_below(CstBlob *blob)
{
    return blob->ops == &dry_ops ? ((DryBlob *)blob)->below : NULL;
}
