/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * Copy like cst_blob_copy() with CST_COPY_NO_SHARE, with a given sparseness: runs of at least
 * @zero_run zero bytes (a multiple of 512) become holes. 0: every byte is written, so that the
 * whole destination is allocated.
 */
gboolean cst_blob_copy_sparse(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                              uint64_t length, uint64_t zero_run, unsigned flags, CstTask *task,
                              GError **error);

/** A range of another blob, or a run of zeroes. */
typedef struct {
    CstBlob *blob;   /**< NULL: zeroes */
    uint64_t offset; /**< in @blob; offset + length must not exceed its size */
    uint64_t length;
} CstBlobPart;

/**
 * Create a read-only blob that is the concatenation of @parts. References their blobs. Copies
 * @name, which is for messages.
 */
CstBlob *cst_blob_join(const CstBlobPart *parts, guint count, const char *name);
