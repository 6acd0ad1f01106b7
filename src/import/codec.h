/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

#include <base/library.h>

/** A compression, as used by unpack.c. */

typedef enum {
    CODEC_MORE, /**< needs more input, or has more output */
    CODEC_END,  /**< the member has ended; reset() begins the next one */
    CODEC_DAMAGED,
    CODEC_MEMORY, /**< needs more memory than allowed */
} ImportCodecResult;

/** Input and output of one step. The codec advances the pointers. */
typedef struct {
    const uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len;
} ImportCodecStep;

struct ImportCodec {
    const char *name;   /**< "gzip" */
    const char *ending; /**< ".gz" */
    const uint8_t *magic;
    size_t magic_len;
    gpointer (*begin)(void); /**< NULL: out of memory */
    ImportCodecResult (*step)(gpointer state, ImportCodecStep *step);
    gboolean (*reset)(gpointer state);
    void (*end)(gpointer state);
    uint64_t (*memory)(gpointer state); /**< bytes in use; NULL: too few to count */
    CstLibrary *library;                /**< loaded before begin(); NULL: linked at build time */
};

/** Maximum dictionary of one compression, in bytes. xz -9 needs 64 MiB, zstd --ultra 128 MiB. */
#define IMPORT_CODEC_MEMORY (UINT64_C(256) << 20)
/** Maximum memory of all nested compressions of a source: one largest dictionary, and buffers. */
#define IMPORT_CHAIN_MEMORY (IMPORT_CODEC_MEMORY + (UINT64_C(16) << 20))
#define IMPORT_CODECS       4

extern const struct ImportCodec import_codec_gzip, import_codec_xz, import_codec_zstd,
    import_codec_bzip2;
