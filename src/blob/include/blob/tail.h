/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * Makes a blob of what lies behind @offset in @blob: a file in a file, which is written to and
 * grows with it. @blob may be shorter. References @blob; copies @name, which is for messages.
 */
CstBlob *cst_blob_tail(CstBlob *blob, uint64_t offset, const char *name);
/**
 * Makes a blob of @length bytes from @offset on, which @blob must have: a file in an archive, to be
 * read only. References @blob; copies @name.
 */
CstBlob *cst_blob_slice(CstBlob *blob, uint64_t offset, uint64_t length, const char *name);
