/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * Gives space back, in place: what @blob, an image of @format, holds of zeroes for its guest
 * becomes holes, and so does what it does not use of its file. The guest, snapshots and dirty
 * bitmaps see what they saw; zeroes upon a backing image go on hiding it, and it is not opened.
 *
 * Can be cancelled and power may be cut anywhere. *ret_given_back is in bytes, as the file system
 * counts them, over all files of the image (0 where it took more meanwhile). STATE when the image
 * has errors, which must be repaired first: its own account of free space is not to be trusted.
 * Advances @task by the capacity.
 */
gboolean cst_image_sparsify(CstBlob *blob, const CstImageFormat *format, const CstImageFiles *files,
                            uint64_t *ret_given_back, CstTask *task, GError **error);
