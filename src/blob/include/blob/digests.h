/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/digest.h>
#include <blob/blob.h>

#define CST_DIGESTS_CHUNK_MIN (UINT64_C(64) << 10)
#define CST_DIGESTS_CHUNK_MAX (UINT64_C(64) << 20)

/**
 * Makes a read-only blob of the SHA-256 digests of @of, one after the other, CST_DIGEST_BYTES for
 * each @chunk of its bytes (the last may be shorter). That of a chunk of zeroes is zeroes, and a
 * hole where that is known without reading. They are computed when they are read. INVALID for a
 * chunk that is no power of two or not within the bounds above. References @of.
 */
CstBlob *cst_blob_digests(CstBlob *of, uint64_t chunk, GError **error);
