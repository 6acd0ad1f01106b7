/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

typedef enum {
    CST_PACK_ALL = 1 << 0,   /**< zeroes get space, too, where @dst would show them anyway */
    CST_PACK_ZEROED = 1 << 1 /**< @dst reads as zeroes itself; what is below it does not show */
} CstPackFlags;

/**
 * Copies @src into @dst, an image at least as large whose cst_image_compression_unit() is not 0,
 * compressed; on all processors. Nothing is allocated in @dst where @src goes. Left out is what
 * @dst shows anyway: zeroes, or what the image that it is opened upon has. @flags are CstPackFlags.
 * Advances @task by bytes of @src. The caller flushes @dst.
 */
gboolean cst_image_pack(CstBlob *src, CstImage *dst, unsigned flags, CstTask *task, GError **error);
