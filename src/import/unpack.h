/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "reader.h"

/**
 * Compression of whole files: gzip, xz, zstd, bzip2. It is recognised by the content, not by the
 * name.
 */
typedef struct ImportCodec ImportCodec;

/** Recognises the compression by the first @len bytes. Returns NULL for any other content. */
const ImportCodec *import_codec_probe(const uint8_t *head, size_t len);
/** Returns the length of @name without the suffix of a compression (".gz"), or @len. */
size_t import_codec_strip(const char *name, size_t len);

/**
 * Returns a reader of the decompressed content of @packed, and owns @packed. Several members
 * (frames, streams) are concatenated. Its reads fail with CORRUPT for damaged or truncated data and
 * for other data after a member. They fail with LIMIT above the context's size or above the bound
 * on expansion.
 */
ImportReader *import_unpack(ImportReader *packed, const ImportCodec *codec,
                            const ImportContext *context);
