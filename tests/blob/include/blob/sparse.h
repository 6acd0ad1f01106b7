/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * Create a growable blob in memory that allocates only written pages, so that an image of many
 * terabytes fits. For tests only (blob_fault_dep). Reports holes; whole pages that are zeroed or
 * discarded become holes again. NO_SPACE past CST_BLOB_MEMORY_MAX bytes of pages.
 */
CstBlob *cst_blob_sparse_new(uint64_t size);

/** Create a second blob with the content and size of @blob, a sparse blob. */
CstBlob *cst_blob_sparse_copy(CstBlob *blob);

/**
 * Make the blob behave like a file on a file system with reflinks: its extents can be shared in
 * units of @unit bytes (a power of two) with other lowest blobs that can share. The first @refusals
 * attempts to share its bytes fail with UNSUPPORTED.
 */
void cst_blob_sparse_enable_sharing(CstBlob *blob, uint64_t unit, unsigned refusals);

/** Return the number of bytes of this blob that other blobs have shared. */
uint64_t cst_blob_sparse_shared(CstBlob *blob);

/** Return the number of bytes read from the blob, not counting reads for sharing. */
uint64_t cst_blob_sparse_read(CstBlob *blob);

/** Return the number of bytes of allocated pages. */
uint64_t cst_blob_sparse_used(CstBlob *blob);
