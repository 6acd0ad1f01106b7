/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inflate.h"

#include <zlib.h>

/* QEMU packs with a window of 4 KiB; others may have used more. No zlib header. */
#define WINDOW_BITS (-15)

gboolean cst_inflate(const uint8_t *packed, size_t packed_len, uint8_t *buf, size_t len)
{
    z_stream stream = {
        .next_in = (Bytef *)packed, /* zlib only reads it */
        .avail_in = (uInt)packed_len,
        .next_out = buf,
        .avail_out = (uInt)len,
    };
    int rc;

    if (inflateInit2(&stream, WINDOW_BITS) != Z_OK)
        return FALSE;
    rc = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    /* bytes may follow, so the end of the stream need not be seen */
    return stream.avail_out == 0 && (rc == Z_STREAM_END || rc == Z_BUF_ERROR || rc == Z_OK);
}
