/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * A writable blob that keeps what is written to it in memory and shows @below (taken over; NULL: an
 * empty blob) where nothing was. Large changes end with CST_ERROR_DRY_RUN. Files that a thread in a
 * dry run opens for writing are such blobs already.
 */
CstBlob *cst_blob_dry_new(CstBlob *below, const char *name);

/** What lies below such a blob, borrowed; NULL for other kinds. */
CstBlob *cst_blob_dry_below(CstBlob *blob);
