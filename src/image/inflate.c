/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Decompression of raw deflate streams, for qcow and qcow2. libdeflate is tried first, because it
 * is several times as fast. It needs a complete stream that ends exactly at the end of the output.
 * zlib decompresses other streams: truncated after the last byte of the output, or longer than the
 * output. Both report a stream with fewer bytes as damaged. Each thread keeps its own libdeflate
 * decompressor, so no lock is needed.
 */
#include "inflate.h"

#include <libdeflate.h>
#include <zlib.h>

/* Negative: a stream without a zlib header. QEMU compresses with a window of 4 KiB. Other writers
 * may have used the maximum of 32 KiB. */
#define WINDOW_BITS (-15)

static void free_inflater(void *inflater)
{
    libdeflate_free_decompressor(inflater);
}

/* Decompressor of the calling thread, freed when the thread ends. */
static GPrivate inflaters = G_PRIVATE_INIT(free_inflater);

static struct libdeflate_decompressor *get_inflater(void)
{
    struct libdeflate_decompressor *inflater = g_private_get(&inflaters);

    if (!inflater) {
        inflater = libdeflate_alloc_decompressor();
        g_private_set(&inflaters, inflater);
    }
    return inflater;
}

/* The fast path. Fails for a stream that does not end at the end of the buffer, which is rare. */
static gboolean inflate_at_once(const uint8_t *packed, size_t packed_len, uint8_t *buf, size_t len)
{
    struct libdeflate_decompressor *inflater = get_inflater();
    size_t used = 0, done = 0;

    return inflater &&
           libdeflate_deflate_decompress_ex(inflater, packed, packed_len, buf, len, &used, &done) ==
               LIBDEFLATE_SUCCESS &&
           done == len;
}

static gboolean inflate_as_far_as_it_goes(const uint8_t *packed, size_t packed_len, uint8_t *buf,
                                          size_t len)
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
    /* the output is complete even if the stream has not ended */
    return stream.avail_out == 0 && (rc == Z_STREAM_END || rc == Z_BUF_ERROR);
}

gboolean cst_inflate(const uint8_t *packed, size_t packed_len, uint8_t *buf, size_t len)
{
    return inflate_at_once(packed, packed_len, buf, len) ||
           inflate_as_far_as_it_goes(packed, packed_len, buf, len);
}
