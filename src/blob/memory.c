/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A growable buffer as a blob. Growing may move the buffer, so reads hold the lock shared and all
 * writers hold it exclusively. The capacity doubles, so that appending is linear, up to
 * CST_BLOB_MEMORY_MAX. Shrinking keeps the memory. The blob is not persistent, so it has no flush.
 *
 * Ranges of reads and zeroes are within the size: the dispatcher has checked them, and the blob is
 * not resized concurrently (cst_blob_resize()).
 */
#include <blob/blob.h>

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

typedef struct {
    CstBlob head;
    GRWLock lock;
    uint8_t *data;
    size_t size;
    size_t capacity;
} CstMemoryBlob;

static gboolean memory_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    CstMemoryBlob *memory = (CstMemoryBlob *)blob;

    g_rw_lock_reader_lock(&memory->lock);
    memcpy(buf, memory->data + offset, len);
    g_rw_lock_reader_unlock(&memory->lock);
    return TRUE;
}

static gboolean memory_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    CstMemoryBlob *memory = (CstMemoryBlob *)blob;

    g_rw_lock_reader_lock(&memory->lock);
    *ret_size = memory->size;
    g_rw_lock_reader_unlock(&memory->lock);
    return TRUE;
}

static void memory_close(CstBlob *blob)
{
    CstMemoryBlob *memory = (CstMemoryBlob *)blob;

    g_rw_lock_clear(&memory->lock);
    g_free(memory->data);
    g_free(memory);
}

/* Called with the lock held exclusively. Zeroes the bytes between the old and the new end. */
static gboolean set_size(CstMemoryBlob *memory, uint64_t size, GError **error)
{
    if (size > CST_BLOB_MEMORY_MAX)
        return cst_fail(error, CST_ERROR_NO_SPACE, _("'%s' is full"), memory->head.name);
    if (size > memory->capacity) {
        size_t capacity = MIN(MAX((size_t)size, memory->capacity * 2), (size_t)CST_BLOB_MEMORY_MAX);
        uint8_t *data = cst_realloc(memory->data, capacity, 1, memory->head.name, error);

        if (!data)
            return FALSE;
        memory->data = data;
        memory->capacity = capacity;
    }
    if (size > memory->size)
        memset(memory->data + memory->size, 0, size - memory->size);
    memory->size = (size_t)size;
    return TRUE;
}

static gboolean memory_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                              GError **error)
{
    CstMemoryBlob *memory = (CstMemoryBlob *)blob;
    gboolean ok;

    g_rw_lock_writer_lock(&memory->lock);
    ok = offset + len <= memory->size || set_size(memory, offset + len, error);
    if (ok)
        memcpy(memory->data + offset, buf, len);
    g_rw_lock_writer_unlock(&memory->lock);
    return ok;
}

static gboolean memory_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                            GError **error)
{
    CstMemoryBlob *memory = (CstMemoryBlob *)blob;

    g_rw_lock_writer_lock(&memory->lock);
    memset(memory->data + offset, 0, length);
    g_rw_lock_writer_unlock(&memory->lock);
    return TRUE;
}

static gboolean memory_resize(CstBlob *blob, uint64_t size, GError **error)
{
    CstMemoryBlob *memory = (CstMemoryBlob *)blob;
    gboolean ok;

    g_rw_lock_writer_lock(&memory->lock);
    ok = set_size(memory, size, error);
    g_rw_lock_writer_unlock(&memory->lock);
    return ok;
}

static const CstBlobOps memory_ops = {
    .kind = "memory",
    .pread = memory_pread,
    .get_size = memory_get_size,
    .close = memory_close,
    .pwrite = memory_pwrite,
    .zero = memory_zero,
    .resize = memory_resize,
};

CstBlob *cst_blob_memory_new(const void *data, size_t len)
{
    CstMemoryBlob *memory = g_new0(CstMemoryBlob, 1);

    cst_blob_init(&memory->head, &memory_ops, "memory", TRUE);
    g_rw_lock_init(&memory->lock);
    memory->data = g_malloc0(MAX(len, 1));
    memory->size = len;
    memory->capacity = MAX(len, 1);
    if (data)
        memcpy(memory->data, data, len);
    return &memory->head;
}
