/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The compressions. Each runs steps of its library's streaming decoder. xz and zstd request a
 * dictionary of a certain size, and are limited to IMPORT_CODEC_MEMORY.
 */
#include "codec.h"

#include <bzip2_library.h>
#include <lzma_library.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* --- gzip ------------------------------------------------------------------------------------- */

#define GZIP_WINDOW (16 + MAX_WBITS) /* a gzip header, the largest window */

static gpointer gzip_begin(void)
{
    z_stream *stream = g_new0(z_stream, 1);

    if (inflateInit2(stream, GZIP_WINDOW) == Z_OK)
        return stream;
    g_free(stream);
    return NULL;
}

static ImportCodecResult gzip_step(gpointer state, ImportCodecStep *step)
{
    z_stream *stream = state;
    int result;

    stream->next_in = (Bytef *)step->in;
    stream->avail_in = (uInt)step->in_len;
    stream->next_out = step->out;
    stream->avail_out = (uInt)step->out_len;
    result = inflate(stream, Z_NO_FLUSH);
    step->in = stream->next_in;
    step->in_len = stream->avail_in;
    step->out = stream->next_out;
    step->out_len = stream->avail_out;
    if (result == Z_STREAM_END)
        return CODEC_END;
    return result == Z_OK || result == Z_BUF_ERROR ? CODEC_MORE : CODEC_DAMAGED;
}

static gboolean gzip_reset(gpointer state)
{
    return inflateReset(state) == Z_OK;
}

static void gzip_end(gpointer state)
{
    inflateEnd(state);
    g_free(state);
}

const struct ImportCodec import_codec_gzip = {
    "gzip", ".gz", (const uint8_t *)"\x1f\x8b\x08", 3, gzip_begin, gzip_step, gzip_reset, gzip_end,
    NULL,   NULL,
};

/* --- xz --------------------------------------------------------------------------------------- */

static gboolean xz_reset(gpointer state)
{
    /* Reuses the memory of the previous stream. */
    return lzma_stream_decoder(state, IMPORT_CODEC_MEMORY, 0) == LZMA_OK;
}

static gpointer xz_begin(void)
{
    lzma_stream *stream = g_new0(lzma_stream, 1);

    if (xz_reset(stream))
        return stream;
    g_free(stream);
    return NULL;
}

static ImportCodecResult xz_step(gpointer state, ImportCodecStep *step)
{
    lzma_stream *stream = state;
    lzma_ret result;

    stream->next_in = step->in;
    stream->avail_in = step->in_len;
    stream->next_out = step->out;
    stream->avail_out = step->out_len;
    result = lzma_code(stream, LZMA_RUN);
    step->in = stream->next_in;
    step->in_len = stream->avail_in;
    step->out = stream->next_out;
    step->out_len = stream->avail_out;
    switch (result) {
    case LZMA_OK:
    case LZMA_BUF_ERROR: return CODEC_MORE;
    case LZMA_STREAM_END: return CODEC_END;
    case LZMA_MEM_ERROR:
    case LZMA_MEMLIMIT_ERROR: return CODEC_MEMORY;
    default: return CODEC_DAMAGED;
    }
}

static void xz_end(gpointer state)
{
    lzma_end(state);
    g_free(state);
}

static uint64_t xz_memory(gpointer state)
{
    return lzma_memusage(state);
}

const struct ImportCodec import_codec_xz = {
    "xz",
    ".xz",
    (const uint8_t *)"\xfd"
                     "7zXZ\0",
    6,
    xz_begin,
    xz_step,
    xz_reset,
    xz_end,
    xz_memory,
    &cst_lzma_library,
};

/* --- zstd ------------------------------------------------------------------------------------- */

#define ZSTD_WINDOW 28 /* 2²⁸ bytes: IMPORT_CODEC_MEMORY */

static gpointer zstd_begin(void)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();

    if (context)
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW);
    return context;
}

static ImportCodecResult zstd_step(gpointer state, ImportCodecStep *step)
{
    ZSTD_inBuffer in = {step->in, step->in_len, 0};
    ZSTD_outBuffer out = {step->out, step->out_len, 0};
    size_t result = ZSTD_decompressStream(state, &out, &in);

    step->in += in.pos;
    step->in_len -= in.pos;
    step->out += out.pos;
    step->out_len -= out.pos;
    if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge)
        return CODEC_MEMORY;
    if (ZSTD_isError(result))
        return CODEC_DAMAGED;
    return result == 0 ? CODEC_END : CODEC_MORE;
}

static gboolean zstd_reset(gpointer state)
{
    return !ZSTD_isError(ZSTD_DCtx_reset(state, ZSTD_reset_session_only));
}

static void zstd_end(gpointer state)
{
    ZSTD_freeDCtx(state);
}

static uint64_t zstd_memory(gpointer state)
{
    return ZSTD_sizeof_DCtx(state);
}

const struct ImportCodec import_codec_zstd = {
    "zstd",     ".zst",     (const uint8_t *)"\x28\xb5\x2f\xfd",
    4,          zstd_begin, zstd_step,
    zstd_reset, zstd_end,   zstd_memory,
    NULL,
};

/* --- bzip2 ------------------------------------------------------------------------------------ */

static gpointer bzip2_begin(void)
{
    bz_stream *stream = g_new0(bz_stream, 1);

    if (BZ2_bzDecompressInit(stream, 0, 0) == BZ_OK)
        return stream;
    g_free(stream);
    return NULL;
}

static ImportCodecResult bzip2_step(gpointer state, ImportCodecStep *step)
{
    bz_stream *stream = state;
    int result;

    stream->next_in = (char *)step->in;
    stream->avail_in = (unsigned)step->in_len;
    stream->next_out = (char *)step->out;
    stream->avail_out = (unsigned)step->out_len;
    result = BZ2_bzDecompress(stream);
    step->in = (const uint8_t *)stream->next_in;
    step->in_len = stream->avail_in;
    step->out = (uint8_t *)stream->next_out;
    step->out_len = stream->avail_out;
    if (result == BZ_STREAM_END)
        return CODEC_END;
    if (result == BZ_MEM_ERROR)
        return CODEC_MEMORY;
    return result == BZ_OK ? CODEC_MORE : CODEC_DAMAGED;
}

static gboolean bzip2_reset(gpointer state)
{
    BZ2_bzDecompressEnd(state);
    *(bz_stream *)state = (bz_stream){0};
    return BZ2_bzDecompressInit(state, 0, 0) == BZ_OK;
}

static void bzip2_end(gpointer state)
{
    BZ2_bzDecompressEnd(state);
    g_free(state);
}

const struct ImportCodec import_codec_bzip2 = {
    "bzip2",   ".bz2", (const uint8_t *)"BZh", 3, bzip2_begin, bzip2_step, bzip2_reset,
    bzip2_end, NULL,   &cst_bzip2_library,
};
