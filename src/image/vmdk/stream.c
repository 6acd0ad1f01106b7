/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"

#define GRAIN_MAX     (4 * CST_MIB)
#define EXTENT_TABLES 4096 /* grain tables looked at in one go */

gboolean(vmdk_stream_corrupt)(const VmdkStream *stream, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), stream->extent.blob->name,
                    what);
}

/* --- reading ---------------------------------------------------------------------------------- */

gboolean vmdk_stream_find_packed(VmdkStream *stream, uint64_t number, uint64_t *offset,
                                 size_t *ret_len, GError **error)
{
    uint8_t marker[VMDK_MARKER_LEN];
    uint64_t size = 0, len;

    if (!cst_blob_get_size(stream->extent.blob, &size, error))
        return FALSE;
    if (*offset >= size || size - *offset < sizeof(marker))
        return vmdk_stream_corrupt(stream, error, _("a grain lies outside the file"));
    len = MIN(VMDK_PACKED_MAX(stream->grain), size - *offset);
    if (stream->header.flags & VMDK_FLAG_MARKERS) {
        if (!cst_blob_pread(stream->extent.blob, marker, sizeof(marker), *offset, error))
            return FALSE;
        *offset += sizeof(marker);
        len = cst_le32(marker + 8);
        if (cst_le64(marker) != number * stream->header.grain ||
            len > VMDK_PACKED_MAX(stream->grain) || len > size - *offset)
            return vmdk_stream_corrupt(stream, error, _("the marker of a grain is wrong"));
    }
    *ret_len = (size_t)len;
    return TRUE;
}

gboolean vmdk_stream_read_grain(VmdkStream *stream, uint64_t number, uint32_t sector, uint8_t *buf,
                                GError **error)
{
    uint64_t offset = (uint64_t)sector * VMDK_SECTOR;
    uint64_t used =
        MIN(stream->header.grain, stream->header.capacity - number * stream->header.grain);
    g_autofree uint8_t *packed = NULL;
    size_t len = 0;

    if (!vmdk_stream_find_packed(stream, number, &offset, &len, error))
        return FALSE;
    packed = g_malloc(MAX(len, 1));
    if (!cst_blob_pread(stream->extent.blob, packed, len, offset, error))
        return FALSE;
    return vmdk_unpack(packed, len, buf, (size_t)stream->grain, (size_t)used * VMDK_SECTOR) ||
           vmdk_stream_corrupt(stream, error, _("a compressed grain is damaged"));
}

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

/* TRUE: the grain waits to be written, and is read from there. */
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
    if (entry == VMDK_PENDING) /* it has started to wait in between */
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
    grain = g_malloc((size_t)stream->grain);
    if (!read_whole(stream, number, grain, error))
        return FALSE;
    memcpy(buf, grain + inside, len);
    return TRUE;
}

static gboolean stream_pread(VmdkExtent *extent, void *buf, size_t len, uint64_t offset,
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

static gboolean stream_extent(VmdkExtent *extent, uint64_t offset, uint64_t length,
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

/* --- opening ---------------------------------------------------------------------------------- */

static void stream_close(VmdkExtent *extent)
{
    VmdkStream *stream = vmdk_stream_of(extent);

    vmdk_tables_free(stream->tables);
    vmdk_stream_clear_map(stream);
    g_rw_lock_clear(&stream->file);
    g_mutex_clear(&stream->lock);
    cst_blob_unref(extent->blob);
    g_free(stream);
}

static const VmdkExtentOps stream_ops = {
    .pread = stream_pread,
    .extent = stream_extent,
    .pwrite = vmdk_stream_pwrite,
    .zero = vmdk_stream_zero,
    .discard = vmdk_stream_discard,
    .flush = vmdk_stream_flush,
    .write_back = vmdk_stream_write_back,
    .resize = vmdk_stream_resize,
    .close = stream_close,
};

/* Footer marker, footer, end-of-stream marker: the last three sectors. */
static gboolean read_footer(VmdkStream *stream, GError **error)
{
    uint8_t raw[2 * VMDK_SECTOR];
    uint64_t size = 0;
    VmdkHeader footer;

    if (!cst_blob_get_size(stream->extent.blob, &size, error))
        return FALSE;
    if (size < 4 * VMDK_SECTOR)
        return vmdk_stream_corrupt(stream, error, _("the stream is cut off"));
    if (!cst_blob_pread(stream->extent.blob, raw, sizeof(raw), size - 3 * VMDK_SECTOR, error))
        return FALSE;
    if (cst_le64(raw) != 1 || cst_le32(raw + 8) != 0 || cst_le32(raw + 12) != VMDK_MARKER_FOOTER ||
        memcmp(raw + VMDK_SECTOR, "KDMV", 4) != 0)
        return vmdk_stream_corrupt(stream, error, _("the stream is cut off or was not finished"));
    vmdk_header_decode(raw + VMDK_SECTOR, &footer);
    if (vmdk_header_problem(&footer) || footer.gd == VMDK_GD_AT_END ||
        footer.capacity != stream->header.capacity || footer.grain != stream->header.grain ||
        footer.gtes != stream->header.gtes)
        return vmdk_stream_corrupt(stream, error, _("its header and its footer do not agree"));
    stream->header.gd = footer.gd;
    stream->footer = size - 3 * VMDK_SECTOR;
    return TRUE;
}

static gboolean no_spill(void *owner, GError **error)
{
    return TRUE;
}

static gboolean find_tables(VmdkStream *stream, GError **error)
{
    if (stream->header.gd == VMDK_GD_AT_END && !read_footer(stream, error))
        return FALSE;
    stream->header.flags &= ~(uint32_t)VMDK_FLAG_REDUNDANT;
    stream->tables = vmdk_tables_new(stream->extent.blob, &stream->header, no_spill, stream, error);
    return stream->tables != NULL;
}

VmdkExtent *vmdk_stream_new(CstBlob *blob, const VmdkHeader *header, const VmdkExtentHow *how,
                            GError **error)
{
    VmdkStream *stream;

    if (header->compression != 1 || header->grain > GRAIN_MAX / VMDK_SECTOR) {
        cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' is compressed in an unknown way"),
                 blob->name);
        cst_blob_unref(blob);
        return NULL;
    }
    stream = g_new0(VmdkStream, 1);
    stream->extent = (VmdkExtent){&stream_ops, blob, how->start, how->length, how->access};
    stream->header = *header;
    stream->grain = header->grain * VMDK_SECTOR;
    stream->backing = how->image.backing;
    stream->barriers = !(how->image.flags & CST_IMAGE_NO_BARRIERS);
    g_mutex_init(&stream->lock);
    g_rw_lock_init(&stream->file);
    vmdk_stream_init_map(stream);
    if (!find_tables(stream, error)) {
        stream_close(&stream->extent);
        return NULL;
    }
    return &stream->extent;
}
