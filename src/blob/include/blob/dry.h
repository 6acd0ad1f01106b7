/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * Create a writable layer that keeps writes in memory and reads all other data from @below, which
 * it consumes (NULL: an empty blob). More than 16 MiB of writes fail with CST_ERROR_DRY_RUN. Files
 * that a thread opens for writing during a dry run get this layer from cst_blob_file_new().
 */
CstBlob *cst_blob_dry_new(CstBlob *below, const char *name);

/** Return the blob below a dry-run layer, borrowed; NULL for blobs of another kind. */
CstBlob *cst_blob_dry_below(CstBlob *blob);
