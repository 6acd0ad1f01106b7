/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"

/** Callbacks that raw and iso share, whose files hold the guest's bytes and nothing else. */

/** Opens @blob with its size as the capacity; INVALID with a backing image. */
CstImage *cst_raw_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                       GError **error);
/** Frees the struct; there is nothing to write. */
void cst_raw_close(CstImage *image);
/** Flushes the blob. */
gboolean cst_raw_flush(CstImage *image, GError **error);
/**
 * Resizes the blob, and preallocates what is added; preallocation of metadata is
 * ARGUMENT_UNSUPPORTED.
 */
gboolean cst_raw_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                        CstTask *task, GError **error);
