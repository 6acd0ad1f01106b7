/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/digest.h>
#include <blob/blob.h>

#define CST_DIGESTS_CHUNK_MIN (UINT64_C(64) << 10)
#define CST_DIGESTS_CHUNK_MAX (UINT64_C(64) << 20)

/**
 * Create a read-only blob that is the concatenation of the SHA-256 digests of @of: CST_DIGEST_BYTES
 * for each @chunk of its bytes; the last chunk may be shorter. The digest of a chunk of zeroes is
 * zeroes. It is reported as a hole if the zeroes are known without reading. Digests are computed
 * when they are read. INVALID if @chunk is not a power of two or exceeds the bounds above.
 * References @of.
 */
CstBlob *cst_blob_digests(CstBlob *of, uint64_t chunk, GError **error);
