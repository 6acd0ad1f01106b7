/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/digest.h>
#include <base/range.h>
#include <conn/conn.h>

/** Digests of streamed content, in the form that cst_conn_vol_digests() returns for a volume. */
typedef struct {
    CstVolDigests of; /**< the result; its digests are complete after chunks_end() */
    CstDigest *digest;
    uint64_t filled;    /**< bytes in the current chunk */
    uint64_t zeroes;    /**< zeroes at the start of the chunk, not in the digest yet */
    gboolean any_other; /**< the current chunk has a nonzero byte */
} Chunks;

gboolean chunks_begin(Chunks *chunks, uint64_t capacity, uint64_t chunk, GError **error);
/** Adds @len bytes. If @len is 0, adds @hole zeroes. */
void chunks_add(Chunks *chunks, const void *bytes, size_t len, uint64_t hole);
/** Ends the last chunk. */
void chunks_end(Chunks *chunks);
/** Frees the members. */
void chunks_clear(Chunks *chunks);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Chunks, chunks_clear)

/**
 * Returns the runs in which two volumes of the same size differ (CstRange). Gaps of at most @gap
 * bytes are included in a run. Free the result with g_array_unref().
 */
GArray *chunks_compare(const CstVolDigests *a, const CstVolDigests *b, uint64_t gap);
