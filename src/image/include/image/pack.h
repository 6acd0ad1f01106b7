/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * Copies @src into @dst, an image at least as large whose cst_image_compression_unit() is not 0,
 * compressed; on all processors. Nothing is allocated in @dst where @src goes. Left out is what
 * @dst shows anyway: zeroes, where it is empty what the image that it is opened upon has; with
 * @zeroed @dst reads as zeroes itself, and what is below does not show.
 * Advances @task by bytes of @src. The caller flushes @dst.
 */
gboolean cst_image_pack(CstBlob *src, CstImage *dst, gboolean zeroed, CstTask *task,
                        GError **error);
