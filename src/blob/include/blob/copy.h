/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * As cst_blob_copy() with CST_COPY_NO_SHARE, and with a say in what becomes a hole: runs of at
 * least @zero_run zero bytes do, a multiple of 512; with 0 every byte is written, whatever the
 * source holds, so that all of the destination has space.
 */
gboolean cst_blob_copy_sparse(CstBlob *src, uint64_t src_offset, CstBlob *dst, uint64_t dst_offset,
                              uint64_t length, uint64_t zero_run, unsigned flags, CstTask *task,
                              GError **error);

/** A part of another blob. */
typedef struct {
    CstBlob *blob;   /**< NULL: zeroes */
    uint64_t offset; /**< in it; offset + length lies inside it */
    uint64_t length;
} CstBlobPart;

/**
 * One blob, for reading, that shows @parts behind one another; references their blobs. @name is for
 * messages.
 */
CstBlob *cst_blob_join(const CstBlobPart *parts, guint count, const char *name);
