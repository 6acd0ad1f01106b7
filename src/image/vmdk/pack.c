/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <zlib.h>

#include "stream.h"

gboolean vmdk_unpack(const uint8_t *packed, size_t packed_len, uint8_t *buf, size_t len,
                     size_t least)
{
    z_stream stream = {
        .next_in = (Bytef *)packed, /* zlib only reads it */
        .avail_in = (uInt)packed_len,
        .next_out = buf,
        .avail_out = (uInt)len,
    };
    size_t done;
    int rc;

    if (inflateInit(&stream) != Z_OK)
        return FALSE;
    rc = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    done = len - stream.avail_out;
    if ((rc != Z_STREAM_END && (rc != Z_BUF_ERROR || done < len)) || done < least)
        return FALSE;
    memset(buf + done, 0, len - done);
    return TRUE;
}

size_t vmdk_pack_bound(size_t len)
{
    return compressBound((uLong)len);
}

uint8_t *vmdk_pack(const uint8_t *buf, size_t len, size_t *ret_packed_len)
{
    uLongf packed_len = compressBound((uLong)len);
    uint8_t *packed = g_malloc(packed_len);
    int rc = compress2(packed, &packed_len, buf, (uLong)len, Z_DEFAULT_COMPRESSION);

    g_assert(rc == Z_OK); /* there is room for the worst */
    *ret_packed_len = packed_len;
    return packed;
}
