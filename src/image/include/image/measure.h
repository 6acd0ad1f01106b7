/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/** The size of an image file in bytes. */
typedef struct {
    uint64_t required;        /**< directly after creation, or after copying the source's data */
    uint64_t fully_allocated; /**< when every byte of the guest has been written */
    gboolean has_bitmaps;     /**< both images support dirty bitmaps */
    uint64_t bitmaps;         /**< bytes for copies of the source's bitmaps, not included above */
} CstImageMeasure;

/**
 * Calculates the size of a new image of @format with @options, all its files together. @source is
 * the guest's view to copy, with its size; NULL: an empty image of options->capacity. For qcow2 the
 * results equal qemu-img's. They include tables that an empty image lacks, but not the gaps that
 * growing tables leave. For other formats the results are exact for an empty image, and an upper
 * bound for a copy. UNSUPPORTED for formats that cannot be created. Advances @task by the source's
 * size.
 */
gboolean cst_image_measure(const CstImageFormat *format, const CstImageCreate *options,
                           CstBlob *source, CstImageMeasure *ret_measure, CstTask *task,
                           GError **error);
