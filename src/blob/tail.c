/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of another blob as a blob, readable and writable, or a part of it, read-only. All calls
 * are passed on with the offset added.
 */
#include <blob/tail.h>

typedef struct {
    CstBlob head;
    CstBlob *whole;
    uint64_t offset;
    uint64_t length; /* maximum length, bytes */
} TailBlob;

static gboolean tail_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    const TailBlob *tail = (TailBlob *)blob;

    return cst_blob_pread(tail->whole, buf, len, tail->offset + offset, error);
}

static gboolean tail_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    const TailBlob *tail = (TailBlob *)blob;

    if (!cst_blob_get_size(tail->whole, ret_size, error))
        return FALSE;
    *ret_size = MIN(*ret_size - MIN(*ret_size, tail->offset), tail->length);
    return TRUE;
}

static gboolean tail_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                            GError **error)
{
    const TailBlob *tail = (TailBlob *)blob;

    return cst_blob_pwrite(tail->whole, buf, len, tail->offset + offset, error);
}

static gboolean tail_flush(CstBlob *blob, GError **error)
{
    return cst_blob_flush(((TailBlob *)blob)->whole, error);
}

static gboolean tail_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                            GError **error)
{
    const TailBlob *tail = (TailBlob *)blob;

    if (!cst_blob_extent(tail->whole, tail->offset + offset, length, ret_extent, error))
        return FALSE;
    ret_extent->offset = offset;
    return TRUE;
}

static gboolean tail_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                          GError **error)
{
    const TailBlob *tail = (TailBlob *)blob;

    return cst_blob_zero(tail->whole, tail->offset + offset, length, flags, error);
}

static gboolean tail_resize(CstBlob *blob, uint64_t size, GError **error)
{
    const TailBlob *tail = (TailBlob *)blob;

    return cst_blob_resize(tail->whole, tail->offset + size, error);
}

static void tail_close(CstBlob *blob)
{
    cst_blob_unref(((TailBlob *)blob)->whole);
    g_free(blob);
}

static const CstBlobOps tail_ops = {
    .kind = "tail",
    .pread = tail_pread,
    .get_size = tail_get_size,
    .close = tail_close,
    .pwrite = tail_pwrite,
    .flush = tail_flush,
    .extent = tail_extent,
    .zero = tail_zero,
    .resize = tail_resize,
};

static CstBlob *tail_new(CstBlob *blob, uint64_t offset, uint64_t length, gboolean writable,
                         const char *name)
{
    TailBlob *tail = g_new0(TailBlob, 1);

    cst_blob_init(&tail->head, &tail_ops, name, writable);
    tail->whole = cst_blob_ref(blob);
    tail->offset = offset;
    tail->length = length;
    return &tail->head;
}

CstBlob *cst_blob_tail(CstBlob *blob, uint64_t offset, const char *name)
{
    return tail_new(blob, offset, G_MAXUINT64, blob->writable, name);
}

CstBlob *cst_blob_slice(CstBlob *blob, uint64_t offset, uint64_t length, const char *name)
{
    return tail_new(blob, offset, length, FALSE, name);
}
