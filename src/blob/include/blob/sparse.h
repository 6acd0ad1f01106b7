/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * Growable memory in which only pages that were written to cost anything, so that an image of many
 * terabytes fits. For tests only (blob_fault_dep). Reports holes; whole pages that are zeroed or
 * discarded become holes again. At most CST_BLOB_MEMORY_MAX bytes of pages.
 */
CstBlob *cst_blob_sparse_new(uint64_t size);

/** A second blob with the same content and size. */
CstBlob *cst_blob_sparse_copy(CstBlob *blob);

/**
 * From now on the blob plays a file whose extents can be shared, in units of @unit bytes, with
 * blobs that are lowest ones and have such a unit too. The first @refusals attempts to share its
 * bytes fail with UNSUPPORTED.
 */
void cst_blob_sparse_enable_sharing(CstBlob *blob, uint64_t unit, unsigned refusals);

/** Bytes of this blob that have been shared with others. */
uint64_t cst_blob_sparse_shared(CstBlob *blob);

/** Bytes that have been read from it, but for sharing. */
uint64_t cst_blob_sparse_read(CstBlob *blob);

/** Bytes of pages in use. */
uint64_t cst_blob_sparse_used(CstBlob *blob);
