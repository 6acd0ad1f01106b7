/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads a stream. A queued grain is copied from memory with stream->lock held. Any other grain is
 * read from the file with stream->file held shared. If the grain is queued between the two steps,
 * its entry is VMDK_PENDING, and the lookup is repeated.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/units.h>

#include "stream.h"

#define EXTENT_TABLES 4096 /* maximum steps of one lookup */

/* Lock held. */
static gboolean look_up(VmdkStream *stream, uint64_t number, uint64_t limit, uint32_t *ret_entry,
                        uint64_t *ret_count, GError **error)
{
    uint32_t gtes = stream->header.gtes;

    if (!stream->started)
        return vmdk_tables_get(stream->tables, number, limit, ret_entry, ret_count, error);
    *ret_count = 1;
    *ret_entry = VMDK_PENDING;
    if (vmdk_stream_pending(stream, number))
        return TRUE;
    *ret_entry = vmdk_stream_map_get(stream, number);
    if (g_tree_nnodes(stream->pending) == 0 &&
        !g_tree_lookup(stream->map, GSIZE_TO_POINTER(number / gtes)))
        *ret_count = MIN(limit, gtes - number % gtes);
    return TRUE;
}

gboolean vmdk_stream_entry(VmdkStream *stream, uint64_t number, uint64_t limit, uint32_t *ret_entry,
                           uint64_t *ret_count, GError **error)
{
    gboolean ok;

    g_mutex_lock(&stream->lock);
    ok = look_up(stream, number, limit, ret_entry, ret_count, error);
    g_mutex_unlock(&stream->lock);
    if (ok && *ret_entry == VMDK_GTE_ZERO && (stream->header.flags & VMDK_FLAG_ZERO_GRAINS))
        *ret_entry = 0;
    return ok;
}

/* Copies the grain to @buf and returns TRUE if the grain is queued. */
static gboolean read_pending(VmdkStream *stream, uint64_t number, uint8_t *buf)
{
    size_t len = (size_t)stream->grain;
    const VmdkPending *pending;

    g_mutex_lock(&stream->lock);
    pending = stream->started ? vmdk_stream_pending(stream, number) : NULL;
    if (pending && pending->packed_len == 0)
        memcpy(buf, pending->data, len);
    else if (pending)
        vmdk_unpack(pending->data, pending->packed_len, buf, len, len);
    g_mutex_unlock(&stream->lock);
    return pending != NULL;
}

static gboolean read_whole(VmdkStream *stream, uint64_t number, uint8_t *buf, GError **error)
{
    uint64_t count = 0;
    uint32_t entry = 0;
    gboolean ok;

    if (read_pending(stream, number, buf))
        return TRUE;
    if (!vmdk_stream_entry(stream, number, 1, &entry, &count, error))
        return FALSE;
    if (entry == VMDK_PENDING) /* the grain was queued after read_pending() */
        return read_whole(stream, number, buf, error);
    if (entry == 0) {
        memset(buf, 0, (size_t)stream->grain);
        return TRUE;
    }
    g_rw_lock_reader_lock(&stream->file);
    ok = vmdk_stream_read_grain(stream, number, entry, buf, error);
    g_rw_lock_reader_unlock(&stream->file);
    return ok;
}

static gboolean read_piece(VmdkStream *stream, uint8_t *buf, size_t len, uint64_t offset,
                           GError **error)
{
    uint64_t number = offset / stream->grain, inside = offset % stream->grain;
    g_autofree uint8_t *grain = NULL;

    if (len == stream->grain)
        return read_whole(stream, number, buf, error);
    grain = cst_alloc(stream->grain, 1, stream->extent.blob->name, error);
    if (!grain || !read_whole(stream, number, grain, error))
        return FALSE;
    memcpy(buf, grain + inside, len);
    return TRUE;
}

gboolean vmdk_stream_pread(VmdkExtent *extent, void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    VmdkStream *stream = vmdk_stream_of(extent);
    uint8_t *at = buf;

    while (len > 0) {
        size_t n = (size_t)MIN(len, stream->grain - offset % stream->grain);

        if (!read_piece(stream, at, n, offset, error))
            return FALSE;
        at += n;
        offset += n;
        len -= n;
    }
    return TRUE;
}

gboolean vmdk_stream_extent(VmdkExtent *extent, uint64_t offset, uint64_t length,
                            CstExtent *ret_extent, GError **error)
{
    VmdkStream *stream = vmdk_stream_of(extent);
    uint64_t number = offset / stream->grain;
    uint64_t limit = cst_div_up(offset + length, stream->grain) - number, done = 0, count = 0;
    uint32_t first = 0, entry = 0;

    for (unsigned steps = 0; done < limit && steps < EXTENT_TABLES; steps++) {
        if (!vmdk_stream_entry(stream, number + done, limit - done, &entry, &count, error))
            return FALSE;
        if (done == 0)
            first = entry;
        else if ((entry == 0) != (first == 0))
            break;
        done += count;
    }
    length = MIN(length, (number + done) * stream->grain - offset);
    if (first == 0 && stream->backing)
        return cst_blob_extent(stream->backing, extent->start + offset, length, ret_extent, error);
    *ret_extent = (CstExtent){offset, length,
                              first == 0 ? CST_EXTENT_HOLE | CST_EXTENT_ZERO : CST_EXTENT_DATA};
    return TRUE;
}
