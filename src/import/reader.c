/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sequential readers. Peeked bytes stay in a buffer and are returned first. A pipe may be silent
 * for any time, so it is polled, and the task is checked in between.
 */
#include "reader.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <base/alloc.h>
#include <base/i18n.h>

#define POLL_MS 200

void import_reader_init(ImportReader *reader, const ImportReaderOps *ops, const char *name,
                        CstTask *task)
{
    reader->ops = ops;
    reader->name = g_strdup(name);
    reader->task = task;
    reader->origin = reader;
    reader->peeked = g_byte_array_new();
}

void import_reader_free(ImportReader *reader)
{
    if (!reader)
        return;
    g_free(reader->name);
    g_byte_array_unref(reader->peeked);
    reader->ops->free(reader);
}

/* Reads until @len bytes or the end. */
static gboolean reader_fill_buffer(ImportReader *reader, uint8_t *buf, size_t len, size_t *ret_len,
                                   GError **error)
{
    size_t have = 0, n = 1;

    while (have < len && n > 0) {
        if (!cst_task_check(reader->task, error) ||
            !reader->ops->read(reader, buf + have, len - have, &n, error))
            return FALSE;
        have += n;
    }
    *ret_len = have;
    return TRUE;
}

gboolean import_reader_read(ImportReader *reader, void *buf, size_t len, size_t *ret_len,
                            GError **error)
{
    size_t ahead = MIN(len, reader->peeked->len), n = 0;

    if (ahead > 0)
        memcpy(buf, reader->peeked->data, ahead);
    if (ahead < len && !reader_fill_buffer(reader, (uint8_t *)buf + ahead, len - ahead, &n, error))
        return FALSE;
    if (ahead > 0)
        g_byte_array_remove_range(reader->peeked, 0, (guint)ahead);
    *ret_len = ahead + n;
    reader->taken += *ret_len;
    if (reader->digest)
        cst_digest_add(reader->digest, buf, *ret_len);
    return TRUE;
}

gboolean import_reader_peek(ImportReader *reader, size_t len, const uint8_t **ret_bytes,
                            size_t *ret_len, GError **error)
{
    guint have = reader->peeked->len;
    size_t n = 0;

    if (have < len) {
        g_byte_array_set_size(reader->peeked, (guint)len);
        if (!reader_fill_buffer(reader, reader->peeked->data + have, len - have, &n, error)) {
            g_byte_array_set_size(reader->peeked, have);
            return FALSE;
        }
        g_byte_array_set_size(reader->peeked, have + (guint)n);
    }
    *ret_bytes = reader->peeked->data;
    *ret_len = MIN(len, reader->peeked->len);
    return TRUE;
}

/* --- a pipe ----------------------------------------------------------------------------------- */

typedef struct {
    ImportReader head;
    int fd;
} FdReader;

static gboolean fd_read(ImportReader *reader, uint8_t *buf, size_t len, size_t *ret_len,
                        GError **error)
{
    FdReader *self = (FdReader *)reader;
    struct pollfd ready = {.fd = self->fd, .events = POLLIN};
    ssize_t n;

    do {
        int found = poll(&ready, 1, POLL_MS);

        /* A signal that ends the command interrupts the poll as well. */
        if (!cst_task_check(reader->task, error))
            return FALSE;
        if (found == 0)
            errno = EAGAIN;
        n = found > 0 ? read(self->fd, buf, len) : -1;
    } while (n < 0 && (errno == EINTR || errno == EAGAIN));
    if (n < 0)
        return cst_fail_errno(error, errno, _("cannot read %s"), reader->name);
    *ret_len = (size_t)n;
    return TRUE;
}

static void fd_free(ImportReader *reader)
{
    close(((FdReader *)reader)->fd);
    g_free(reader);
}

ImportReader *import_reader_of_fd(int fd, const char *name, CstTask *task)
{
    static const ImportReaderOps ops = {fd_read, fd_free};
    FdReader *reader = g_new0(FdReader, 1);

    import_reader_init(&reader->head, &ops, name, task);
    reader->fd = fd;
    return &reader->head;
}

/* --- a blob ----------------------------------------------------------------------------------- */

typedef struct {
    ImportReader head;
    CstBlob *blob;
    uint64_t offset;
} BlobReader;

static gboolean blob_read(ImportReader *reader, uint8_t *buf, size_t len, size_t *ret_len,
                          GError **error)
{
    BlobReader *self = (BlobReader *)reader;
    uint64_t size;
    size_t n;

    if (!cst_blob_get_size(self->blob, &size, error))
        return FALSE;
    n = (size_t)MIN(MIN(len, IMPORT_STEP), size - MIN(size, self->offset));
    if (n > 0 && !cst_blob_pread(self->blob, buf, n, self->offset, error))
        return FALSE;
    self->offset += n;
    *ret_len = n;
    return TRUE;
}

static void blob_free(ImportReader *reader)
{
    cst_blob_unref(((BlobReader *)reader)->blob);
    g_free(reader);
}

ImportReader *import_reader_of_blob(CstBlob *blob, CstTask *task)
{
    static const ImportReaderOps ops = {blob_read, blob_free};
    BlobReader *reader = g_new0(BlobReader, 1);

    import_reader_init(&reader->head, &ops, blob->name, task);
    reader->blob = cst_blob_ref(blob);
    return &reader->head;
}

gboolean import_reader_drain(ImportReader *reader, GError **error)
{
    g_autofree uint8_t *buf = cst_alloc(IMPORT_STEP, 1, reader->name, error);
    size_t n = 1;

    while (buf && n > 0) {
        if (!import_reader_read(reader, buf, IMPORT_STEP, &n, error))
            return FALSE;
        cst_task_advance(reader->task, n);
    }
    return buf != NULL;
}
