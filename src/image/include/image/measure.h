/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/** Bytes that an image file will need. */
typedef struct {
    uint64_t required;        /**< right after creation, or with the source's data in it */
    uint64_t fully_allocated; /**< when every byte of the guest is written */
    gboolean has_bitmaps;     /**< both images can keep dirty bitmaps */
    uint64_t bitmaps; /**< bytes for copies of the source's bitmaps, not part of the other two */
} CstImageMeasure;

/**
 * How large a new image of @format with @options will be, all its files together. @source (a
 * guest's view) NULL: an empty one of options->capacity; else a copy of that, of its size. For
 * qcow2 these are qemu-img's numbers, which count tables that an empty image does without, but not
 * the gaps that growing tables leave; for others they are exact for an empty image, and never too
 * small for a copy. UNSUPPORTED for formats that can't be created. Advances @task by the source's
 * size.
 */
gboolean cst_image_measure(const CstImageFormat *format, const CstImageCreate *options,
                           CstBlob *source, CstImageMeasure *ret_measure, CstTask *task,
                           GError **error);
