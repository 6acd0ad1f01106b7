/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes a stream. Changed grains are queued in a tree by number. When PENDING_BYTES are queued,
 * the lowest grains are appended to the file. The writing thread packs a whole grain before it
 * acquires the lock. A partially changed grain stays unpacked until it leaves the queue. All other
 * steps happen with stream->lock held.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "stream.h"

#define PENDING_BYTES (32 * CST_MIB) /* limit for the unpacked size of queued grains */

/* --- appending to the file; lock held --------------------------------------------------------- */

static gboolean stream_append(VmdkStream *stream, uint64_t number, const uint8_t *packed,
                              size_t len, GError **error)
{
    uint64_t lba = number * stream->header.grain;
    uint64_t room = cst_div_up(VMDK_MARKER_LEN + len, VMDK_SECTOR) * VMDK_SECTOR;
    g_autofree uint8_t *bytes = cst_alloc0(room, 1, stream->extent.blob->name, error);

    if (!bytes)
        return FALSE;
    if (stream->tail + room > VMDK_FILE_SECTORS * VMDK_SECTOR)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("'%s' is full: the file of a VMDK extent can't be longer than 2 TiB"),
                        stream->extent.blob->name);
    cst_put_le64(bytes, lba);
    cst_put_le32(bytes + 8, (uint32_t)len);
    memcpy(bytes + VMDK_MARKER_LEN, packed, len);
    if (!cst_blob_pwrite(stream->extent.blob, bytes, room, stream->tail, error))
        return FALSE;
    vmdk_stream_map_set(stream, number, (uint32_t)(stream->tail / VMDK_SECTOR));
    stream->tail += room;
    return TRUE;
}

static gboolean stream_emit(VmdkStream *stream, uint64_t number, VmdkPending *pending,
                            GError **error)
{
    if (pending->packed_len == 0) {
        uint8_t *packed;

        if (cst_bytes_are_zero(pending->data, (size_t)stream->grain)) {
            vmdk_stream_map_set(stream, number, 0);
            return TRUE;
        }
        packed = vmdk_pack(pending->data, (size_t)stream->grain, stream->extent.blob->name,
                           &pending->packed_len, error);
        if (!packed)
            return FALSE;
        g_free(pending->data);
        pending->data = packed;
    }
    return stream_append(stream, number, pending->data, pending->packed_len, error);
}

/* Grains leave the queue in the order of the disk. */
static gboolean leave_waiting(VmdkStream *stream, gint most, GError **error)
{
    while (g_tree_nnodes(stream->pending) > most) {
        GTreeNode *node = g_tree_node_first(stream->pending);
        gpointer key = g_tree_node_key(node);

        if (!stream_emit(stream, GPOINTER_TO_SIZE(key), g_tree_node_value(node), error))
            return FALSE;
        g_tree_remove(stream->pending, key);
    }
    return TRUE;
}

gboolean vmdk_stream_drain(VmdkStream *stream, GError **error)
{
    return leave_waiting(stream, 0, error);
}

/* --- queued grains; lock held ----------------------------------------------------------------- */

/*
 * Called before the first change after a flush. Preserves the flushed end until the next flush is
 * done.
 */
static gboolean keep_end(VmdkStream *stream, GError **error)
{
    if (!stream->barriers)
        return TRUE;
    if (!cst_blob_get_size(stream->extent.blob, &stream->tail, error))
        return FALSE;
    stream->tail = cst_div_up(stream->tail, VMDK_SECTOR) * VMDK_SECTOR;
    stream->dropped = FALSE;
    return stream->footer == 0 || (vmdk_write_header(stream->extent.blob, &stream->header, error) &&
                                   cst_blob_flush(stream->extent.blob, error));
}

static gboolean stream_begin(VmdkStream *stream, GError **error)
{
    if (!vmdk_stream_start(stream, error) || (!stream->dirty && !keep_end(stream, error)))
        return FALSE;
    stream->dirty = TRUE;
    return TRUE;
}

static void wait_with(VmdkStream *stream, uint64_t number, uint8_t *data, size_t packed_len)
{
    VmdkPending *pending = g_new(VmdkPending, 1);

    *pending = (VmdkPending){data, packed_len};
    g_tree_replace(stream->pending, GSIZE_TO_POINTER(number), pending);
}

/* Returns the unpacked, queued grain for modification. */
static uint8_t *grain_for_change(VmdkStream *stream, uint64_t number, GError **error)
{
    VmdkPending *pending = vmdk_stream_pending(stream, number);
    size_t len = (size_t)stream->grain;
    uint32_t entry = vmdk_stream_map_get(stream, number);
    uint8_t *data;

    if (pending && pending->packed_len == 0)
        return pending->data;
    data = cst_alloc0(len, 1, stream->extent.blob->name, error);
    if (!data)
        return NULL;
    if (pending) {
        vmdk_unpack(pending->data, pending->packed_len, data, len, len);
    } else if (entry && !vmdk_stream_read_grain(stream, number, entry, data, error)) {
        g_free(data);
        return NULL;
    }
    wait_with(stream, number, data, 0);
    return data;
}

/* --- the guest's changes ---------------------------------------------------------------------- */

/* Packs outside of the lock, so that all writing threads pack in parallel. */
static gboolean write_whole(VmdkStream *stream, const uint8_t *buf, uint64_t number, GError **error)
{
    gboolean is_zero = cst_bytes_are_zero(buf, (size_t)stream->grain), ok;
    size_t packed_len = 0;
    uint8_t *packed = NULL;

    if (!is_zero && !(packed = vmdk_pack(buf, (size_t)stream->grain, stream->extent.blob->name,
                                         &packed_len, error)))
        return FALSE;
    g_mutex_lock(&stream->lock);
    ok = stream_begin(stream, error);
    if (ok && is_zero) {
        g_tree_remove(stream->pending, GSIZE_TO_POINTER(number));
        vmdk_stream_map_set(stream, number, 0);
    } else if (ok) {
        wait_with(stream, number, g_steal_pointer(&packed), packed_len);
        ok = leave_waiting(stream, (gint)(PENDING_BYTES / stream->grain), error);
    }
    g_mutex_unlock(&stream->lock);
    g_free(packed);
    return ok;
}

/* @buf NULL: zeroes. */
static gboolean write_part(VmdkStream *stream, const uint8_t *buf, size_t len, uint64_t offset,
                           GError **error)
{
    uint64_t number = offset / stream->grain, inside = offset % stream->grain;
    uint8_t *data = NULL;
    gboolean ok;

    g_mutex_lock(&stream->lock);
    ok = stream_begin(stream, error) && (data = grain_for_change(stream, number, error)) != NULL;
    if (ok) {
        if (buf)
            memcpy(data + inside, buf, len);
        else
            memset(data + inside, 0, len);
        ok = leave_waiting(stream, (gint)(PENDING_BYTES / stream->grain), error);
    }
    g_mutex_unlock(&stream->lock);
    return ok;
}

gboolean vmdk_stream_pwrite(VmdkExtent *extent, const void *buf, size_t len, uint64_t offset,
                            GError **error)
{
    VmdkStream *stream = vmdk_stream_of(extent);
    const uint8_t *at = buf;

    while (len > 0) {
        size_t n = (size_t)MIN(len, stream->grain - offset % stream->grain);

        if (!(n == stream->grain ? write_whole(stream, at, offset / stream->grain, error)
                                 : write_part(stream, at, n, offset, error)))
            return FALSE;
        at += n;
        offset += n;
        len -= n;
    }
    return TRUE;
}

/* For whole grains: no data is written. */
static gboolean zero_whole(VmdkStream *stream, uint64_t number, GError **error)
{
    gboolean ok;

    g_mutex_lock(&stream->lock);
    ok = stream_begin(stream, error);
    if (ok) {
        g_tree_remove(stream->pending, GSIZE_TO_POINTER(number));
        vmdk_stream_map_set(stream, number, 0);
    }
    g_mutex_unlock(&stream->lock);
    return ok;
}

gboolean vmdk_stream_zero(VmdkExtent *extent, uint64_t offset, uint64_t length, unsigned flags,
                          GError **error)
{
    VmdkStream *stream = vmdk_stream_of(extent);

    while (length > 0) {
        uint64_t n = MIN(length, stream->grain - offset % stream->grain), count = 0;
        gboolean is_whole =
            n == stream->grain || (offset % stream->grain == 0 && offset + n == extent->length);
        uint32_t entry = 0;

        if (!vmdk_stream_entry(stream, offset / stream->grain, 1, &entry, &count, error))
            return FALSE;
        if (entry != 0 && !(is_whole ? zero_whole(stream, offset / stream->grain, error)
                                     : write_part(stream, NULL, (size_t)n, offset, error)))
            return FALSE;
        offset += n;
        length -= n;
    }
    return TRUE;
}

gboolean vmdk_stream_discard(VmdkExtent *extent, uint64_t offset, uint64_t length, GError **error)
{
    uint64_t grain = vmdk_stream_of(extent)->grain, end = offset + length;
    uint64_t first = cst_div_up(offset, grain) * grain;
    uint64_t last = end == extent->length ? end : end / grain * grain;

    return first >= last || vmdk_stream_zero(extent, first, last - first, 0, error);
}

/* --- size ------------------------------------------------------------------------------------- */

/*
 * Lock held. Zeroes the last grain beyond @length, so that old data does not become visible later.
 */
static gboolean zero_tail(VmdkStream *stream, uint64_t length, GError **error)
{
    uint64_t number = length / stream->grain, inside = length % stream->grain;
    uint8_t *data;

    if (inside == 0 ||
        (!vmdk_stream_pending(stream, number) && vmdk_stream_map_get(stream, number) == 0))
        return TRUE;
    data = grain_for_change(stream, number, error);
    if (!data)
        return FALSE;
    memset(data + inside, 0, (size_t)(stream->grain - inside));
    return TRUE;
}

gboolean vmdk_stream_resize(VmdkExtent *extent, uint64_t length, CstPreallocation preallocation,
                            CstTask *task, GError **error)
{
    VmdkStream *stream = vmdk_stream_of(extent);
    VmdkHeader header = stream->header;
    gboolean ok;

    if (preallocation != CST_PREALLOC_OFF)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a stream-optimized VMDK image can't be preallocated"));
    header.capacity = length / VMDK_SECTOR;
    if (vmdk_header_problem(&header))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' can't be as large as that"),
                        extent->blob->name);
    g_mutex_lock(&stream->lock);
    ok = stream_begin(stream, error) && zero_tail(stream, MIN(length, extent->length), error);
    if (ok) {
        vmdk_stream_map_cut(stream, cst_div_up(length, stream->grain));
        stream->header.capacity = header.capacity;
        extent->length = length;
    }
    g_mutex_unlock(&stream->lock);
    return ok;
}
