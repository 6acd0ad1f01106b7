/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * Create a blob of the bytes after @offset in @blob: a file in a file, which can be written and
 * grows with @blob. @blob may be shorter than @offset. References @blob. Copies @name, which is for
 * messages.
 */
CstBlob *cst_blob_tail(CstBlob *blob, uint64_t offset, const char *name);
/**
 * Create a read-only blob of @length bytes from @offset on, which must exist in @blob: a file in an
 * archive. References @blob; copies @name.
 */
CstBlob *cst_blob_slice(CstBlob *blob, uint64_t offset, uint64_t length, const char *name);
