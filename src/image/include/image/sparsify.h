/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * Returns space of @blob, an image of @format, to the file system in place. Zeroes that the image
 * holds for its guest and unused space of its file become holes. The content of the guest, of
 * snapshots and of dirty bitmaps does not change. Zeroes that hide a backing image go on hiding it.
 * The backing image is not opened.
 *
 * The call can be cancelled, and power can be cut, at any point. *ret_given_back is in bytes, as
 * the file system counts them, over all files of the image (0 if the files grew). STATE when the
 * image has errors, because its metadata about free space is unreliable; repair them first.
 * Advances @task by the capacity.
 */
gboolean cst_image_sparsify(CstBlob *blob, const CstImageFormat *format, const CstImageFiles *files,
                            uint64_t *ret_given_back, CstTask *task, GError **error);
