/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/digest.h>
#include <base/range.h>
#include <conn/conn.h>

/** Digests of content that passes by, as cst_conn_vol_digests() has them of a volume. */
typedef struct {
    CstVolDigests of; /**< the result; its digests are complete after chunks_end() */
    CstDigest *digest;
    uint64_t filled; /**< bytes of the current chunk */
    uint64_t zeroes; /**< as many of them, at its beginning, are zero and not in the digest yet */
    gboolean any_other; /**< the current chunk has a byte that is not zero */
} Chunks;

gboolean chunks_begin(Chunks *chunks, uint64_t capacity, uint64_t chunk, GError **error);
/** Adds @len bytes, or (@len 0) @hole zeroes. */
void chunks_add(Chunks *chunks, const void *bytes, size_t len, uint64_t hole);
/** Ends the last chunk. */
void chunks_end(Chunks *chunks);
/** Frees what is in it. */
void chunks_clear(Chunks *chunks);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Chunks, chunks_clear)

/**
 * The runs in which two volumes of the same size differ, as CstRange. What lies between two of them
 * is longer than @gap bytes. Free it with g_array_unref().
 */
GArray *chunks_compare(const CstVolDigests *a, const CstVolDigests *b, uint64_t gap);
