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

/** Bytes of pages in use. */
uint64_t cst_blob_sparse_used(CstBlob *blob);
