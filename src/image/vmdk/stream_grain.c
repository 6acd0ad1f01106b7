/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads packed grains. In the file each grain follows a marker with its sector in the disk and its
 * length. If the header says that markers are absent, the zlib stream itself ends the grain. A
 * marker is checked against the wanted grain, the file's size and VMDK_PACKED_MAX before the grain
 * is read.
 */
#include <base/alloc.h>
#include <base/i18n.h>

#include "bytes.h"
#include "stream.h"

gboolean(vmdk_stream_corrupt)(const VmdkStream *stream, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), stream->extent.blob->name,
                    what);
}

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
    packed = cst_alloc(len, 1, stream->extent.blob->name, error);
    if (!packed || !cst_blob_pread(stream->extent.blob, packed, len, offset, error))
        return FALSE;
    return vmdk_unpack(packed, len, buf, (size_t)stream->grain, (size_t)used * VMDK_SECTOR) ||
           vmdk_stream_corrupt(stream, error, _("a compressed grain is damaged"));
}
