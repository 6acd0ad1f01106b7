/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

typedef enum {
    /** Compress, on all processors; of VMDK that makes the variant for it. UNSUPPORTED where the
     * format can't. */
    CST_CONVERT_COMPRESS = 1 << 0,
    /** The target reads as zeroes already, so that a raw image needs no zeroes written. */
    CST_CONVERT_TARGET_ZERO = 1 << 1
} CstConvertFlags;

/**
 * Writes a copy of @from (the guest's view of an image, or any blob) onto @to as a new image of
 * @format, and flushes it. @options are those of cst_image_create() (NULL: the defaults), with
 * capacity left out: the image gets the size of @from. @flags are CstConvertFlags. Zeroes are left
 * out, extents shared where the file system can. After a failure @to holds nothing of use. Sets
 * @task's total, in bytes, and advances it.
 */
gboolean cst_image_convert(CstBlob *from, CstBlob *to, const CstImageFormat *format,
                           const CstImageCreate *options, unsigned flags, CstTask *task,
                           GError **error);
