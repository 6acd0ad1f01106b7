/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Packs and unpacks grains: zlib streams, written by libdeflate and read by zlib. A stream may
 * yield fewer bytes than a grain, because the last grain of a disk may be short. It may also yield
 * more. Thread-safe: every thread has its own compressor.
 */
#include <string.h>

#include <libdeflate.h>
#include <zlib.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

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

/* Compresses better than zlib's default level, in less than half of the time. */
#define LEVEL 6

static void free_deflater(void *deflater)
{
    libdeflate_free_compressor(deflater);
}

/* A compressor is large and slow to make, so each thread keeps one. */
static GPrivate deflaters = G_PRIVATE_INIT(free_deflater);

static struct libdeflate_compressor *get_deflater(const char *name, GError **error)
{
    struct libdeflate_compressor *deflater = g_private_get(&deflaters);

    if (!deflater) {
        deflater = libdeflate_alloc_compressor(LEVEL);
        if (!deflater) {
            cst_fail(error, CST_ERROR_NO_MEMORY, _("there is no memory to compress '%s'"), name);
            return NULL;
        }
        g_private_set(&deflaters, deflater);
    }
    return deflater;
}

size_t vmdk_pack_bound(size_t len)
{
    return libdeflate_zlib_compress_bound(NULL, len);
}

uint8_t *vmdk_pack(const uint8_t *buf, size_t len, const char *name, size_t *ret_packed_len,
                   GError **error)
{
    struct libdeflate_compressor *deflater = get_deflater(name, error);
    size_t room = vmdk_pack_bound(len);
    uint8_t *packed = deflater ? cst_alloc(room, 1, name, error) : NULL;

    if (!packed)
        return NULL;
    *ret_packed_len = libdeflate_zlib_compress(deflater, buf, len, packed, room);
    g_assert(*ret_packed_len > 0); /* the buffer has room for the worst case */
    return packed;
}
