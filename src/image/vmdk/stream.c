/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Opens a stream-optimized extent and provides the table of its callbacks. Reads the header, and
 * the footer if the header says that the directory is at the end.
 */
#include "stream.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"

#define GRAIN_MAX (4 * CST_MIB)

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
    .pread = vmdk_stream_pread,
    .extent = vmdk_stream_extent,
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

static gboolean find_tables(VmdkStream *stream, GError **error)
{
    if (stream->header.gd == VMDK_GD_AT_END && !read_footer(stream, error))
        return FALSE;
    stream->header.flags &= ~(uint32_t)VMDK_FLAG_REDUNDANT;
    stream->tables = vmdk_tables_new(stream->extent.blob, &stream->header, NULL, NULL, error);
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
