/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/**
 * Copies @src into @dst, an empty image at least as large whose cst_image_compression_unit() is
 * not 0, compressed; on all processors. Left out is what @dst shows anyway: zeroes, or what the
 * image that it is opened upon has.
 * Advances @task by bytes of @src. The caller flushes @dst.
 */
gboolean cst_image_pack(CstBlob *src, CstImage *dst, CstTask *task, GError **error);
