/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "qcow2.h"
#include "state.h"

gboolean qcow2_backing_shows(const Qcow2 *q, uint64_t offset)
{
    return q->lacks_backing || (q->backing && offset < q->backing_size);
}

static gboolean read_backing(Qcow2 *q, uint8_t *buf, size_t len, uint64_t offset, GError **error)
{
    size_t there = 0;

    if (q->lacks_backing)
        return cst_fail(
            error, CST_ERROR_INVALID,
            _("'%s' is opened without its backing image, which holds what is asked for"),
            q->blob->name);
    if (q->backing && offset < q->backing_size)
        there = (size_t)MIN(len, q->backing_size - offset);
    if (there > 0 && !cst_blob_pread(q->backing, buf, there, offset, error))
        return FALSE;
    memset(buf + there, 0, len - there);
    return TRUE;
}

/* The last clusters of a file may be cut off: what is not there is zero. */
static gboolean read_host(Qcow2 *q, uint8_t *buf, size_t len, uint64_t host, GError **error)
{
    CstBlob *blob = qcow2_data_blob(q);
    uint64_t size = 0;
    size_t there = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (host < size)
        there = (size_t)MIN(len, size - host);
    memset(buf + there, 0, len - there);
    return there == 0 || cst_blob_pread(blob, buf, there, host, error);
}

static gboolean read_packed(Qcow2 *q, uint8_t *buf, size_t len, uint64_t offset, uint64_t word,
                            GError **error)
{
    uint64_t host = 0, length = 0, inside = offset & (q->cluster_size - 1);
    g_autofree uint8_t *packed = NULL, *cluster = NULL;
    gboolean whole = len == q->cluster_size;

    qcow2_packed_place(q, word, &host, &length);
    packed = g_malloc(length);
    if (!whole)
        cluster = g_malloc(q->cluster_size);
    if (!read_host(q, packed, length, host, error) ||
        !qcow2_unpack(q, packed, length, whole ? buf : cluster, error))
        return FALSE;
    if (!whole)
        memcpy(buf, cluster + inside, len);
    return TRUE;
}

gboolean qcow2_check_content(const Qcow2 *q, GError **error)
{
    if (q->header.crypt != QCOW2_CRYPT_NONE)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is encrypted: its content can't be read or written here; "
                          "'qemu-img convert' with a secret object can decrypt it"),
                        q->blob->name);
    return !q->lacks_data || cst_fail(error, CST_ERROR_INVALID,
                                      _("'%s' is opened without its data file"), q->blob->name);
}

static gboolean map_locked(Qcow2 *q, uint64_t offset, uint64_t length, Qcow2Run *run,
                           GError **error)
{
    gboolean ok;

    g_mutex_lock(&q->lock);
    ok = qcow2_map(q, offset, length, run, error);
    g_mutex_unlock(&q->lock);
    return ok;
}

static gboolean read_run(Qcow2 *q, const Qcow2Run *run, uint8_t *buf, uint64_t offset,
                         GError **error)
{
    size_t len = (size_t)run->length;

    switch (run->kind) {
    case QCOW2_DATA: return read_host(q, buf, len, run->host, error);
    case QCOW2_PACKED: return read_packed(q, buf, len, offset, run->host, error);
    case QCOW2_UNALLOCATED: return read_backing(q, buf, len, offset, error);
    default: memset(buf, 0, len); return TRUE;
    }
}

gboolean qcow2_pread(CstImage *image, void *buf, size_t len, uint64_t offset, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    uint8_t *at = buf;

    if (!qcow2_check_content(q, error))
        return FALSE;
    while (len > 0) {
        Qcow2Run run;

        if (!map_locked(q, offset, len, &run, error) || !read_run(q, &run, at, offset, error))
            return FALSE;
        at += run.length;
        offset += run.length;
        len -= (size_t)run.length;
    }
    return TRUE;
}

/* Preallocated clusters are often holes of the file: they are known to read as zeroes. */
static gboolean data_extent(Qcow2 *q, const Qcow2Run *run, CstExtent *extent, GError **error)
{
    CstBlob *blob = qcow2_data_blob(q);
    CstExtent host;
    uint64_t size = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (run->host >= size) {
        extent->flags = CST_EXTENT_ZERO;
        return TRUE;
    }
    if (!cst_blob_extent(blob, run->host, MIN(run->length, size - run->host), &host, error))
        return FALSE;
    extent->flags = host.flags & CST_EXTENT_ZERO;
    extent->length = host.length;
    return TRUE;
}

gboolean qcow2_extent(CstImage *image, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                      GError **error)
{
    Qcow2 *q = qcow2_of(image);
    CstExtent extent = {offset, length, CST_EXTENT_DATA};
    Qcow2Run run;

    if (!map_locked(q, offset, length, &run, error))
        return FALSE;
    extent.length = run.length;
    if (run.kind == QCOW2_ZERO) {
        extent.flags = CST_EXTENT_HOLE | CST_EXTENT_ZERO;
    } else if (run.kind == QCOW2_DATA) {
        if (!data_extent(q, &run, &extent, error))
            return FALSE;
    } else if (run.kind == QCOW2_UNALLOCATED && !q->lacks_backing) {
        extent.flags = CST_EXTENT_HOLE | CST_EXTENT_ZERO;
        if (qcow2_backing_shows(q, offset)) {
            length = MIN(run.length, q->backing_size - offset);
            if (!cst_blob_extent(q->backing, offset, length, &extent, error))
                return FALSE;
        }
    }
    *ret_extent = extent;
    return TRUE;
}

gboolean qcow2_locate(CstImage *image, uint64_t offset, uint64_t length, CstBlobLocation *ret_place,
                      GError **error)
{
    Qcow2 *q = qcow2_of(image);
    CstBlobLocation place = {NULL, 0, length};
    Qcow2Run run;

    if (!map_locked(q, offset, length, &run, error))
        return FALSE;
    place.length = run.length;
    if (q->header.crypt != QCOW2_CRYPT_NONE) { /* what lies there is not what the guest sees */
        *ret_place = place;
        return TRUE;
    }
    if (run.kind == QCOW2_UNALLOCATED && q->backing && offset < q->backing_size)
        place = (CstBlobLocation){q->backing, offset, MIN(run.length, q->backing_size - offset)};
    else if (run.kind == QCOW2_DATA || (run.kind != QCOW2_PACKED && run.host != 0))
        place = (CstBlobLocation){qcow2_data_blob(q), run.host, run.length};
    *ret_place = place;
    return TRUE;
}
