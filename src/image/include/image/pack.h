/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

typedef enum {
    CST_PACK_ALL = 1 << 0,   /**< allocate space for zeroes, even if @dst shows zeroes anyway */
    CST_PACK_ZEROED = 1 << 1 /**< @dst reads as zeroes and hides its backing image */
} CstPackFlags;

/**
 * Copies @src with compression into @dst, on all processors. @dst is at least as large as @src, its
 * cst_image_compression_unit() is not 0, and the range of @src is unallocated in it. Leaves out
 * bytes that @dst shows anyway: zeroes, or the content of its backing image. @flags are
 * CstPackFlags. Advances @task by bytes of @src. The caller flushes @dst.
 */
gboolean cst_image_pack(CstBlob *src, CstImage *dst, unsigned flags, CstTask *task, GError **error);
