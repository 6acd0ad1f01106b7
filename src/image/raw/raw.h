/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "format.h"

/** Callbacks shared by raw and iso, whose files consist of the guest's bytes. */

/** Open @blob with its size as the capacity; INVALID with a backing image. */
CstImage *cst_raw_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                       GError **error);
/** Free the struct. Writes nothing, because a raw image has no pending changes. */
void cst_raw_close(CstImage *image);
/** Flush the blob. */
gboolean cst_raw_flush(CstImage *image, GError **error);
/**
 * Resize the blob and preallocate the added range; ARGUMENT_UNSUPPORTED for preallocation of
 * metadata.
 */
gboolean cst_raw_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                        CstTask *task, GError **error);
