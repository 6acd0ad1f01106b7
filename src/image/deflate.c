/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "deflate.h"

#include <zlib.h>

/*
 * Compression for qcow and qcow2. QEMU compresses and decompresses with a window of 4 KiB and no
 * zlib header, so the window must not be larger. Therefore this file uses zlib. libdeflate (as in
 * VMDK) is two to three times as fast, but its window of 32 KiB is fixed. ISA-L's window is
 * adjustable, but its output for binaries and documents is 8 % larger. The speed comes from
 * compression on all processors, while qemu-img compresses one cluster after the other.
 */
#define WINDOW_BITS  (-12)
#define MEMORY_LEVEL 9

/* Each thread keeps its stream, because creating one takes longer than compressing a small
 * cluster. */
static void free_deflater(void *stream)
{
    deflateEnd(stream);
    g_free(stream);
}

static GPrivate deflaters = G_PRIVATE_INIT(free_deflater);

static z_stream *get_deflater(void)
{
    z_stream *stream = g_private_get(&deflaters);

    if (stream)
        return deflateReset(stream) == Z_OK ? stream : NULL;
    stream = g_new0(z_stream, 1);
    if (deflateInit2(stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        g_free(stream);
        return NULL;
    }
    g_private_set(&deflaters, stream);
    return stream;
}

size_t cst_deflate(const uint8_t *buf, size_t len, uint8_t *packed, size_t room)
{
    z_stream *stream = get_deflater();

    if (!stream)
        return 0;
    stream->next_in = (Bytef *)buf; /* zlib only reads it */
    stream->avail_in = (uInt)len;
    stream->next_out = packed;
    stream->avail_out = (uInt)room;
    return deflate(stream, Z_FINISH) == Z_STREAM_END ? room - stream->avail_out : 0;
}
