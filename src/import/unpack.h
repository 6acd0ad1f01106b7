/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "reader.h"

/** Compression of whole files: gzip, xz, zstd, bzip2, by what the bytes are and not by the name. */
typedef struct ImportCodec ImportCodec;

/** Recognises the compression by the first @len bytes; NULL: none of ours. */
const ImportCodec *import_codec_probe(const uint8_t *head, size_t len);
/** Returns the length of @name without the ending of a compression (".gz"), or all of it. */
size_t import_codec_strip(const char *name, size_t len);

/**
 * Reads what @packed, which it takes over, is the compressed form of; several members (or frames,
 * or streams) are one after the other. CORRUPT for damaged or cut ones, and for what follows them
 * and is none; LIMIT past the context's size, or for more than anybody compresses.
 */
ImportReader *import_unpack(ImportReader *packed, const ImportCodec *codec,
                            const ImportContext *context);
