/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/measure.h>

/** Input of a format's measure() callback. */
typedef struct {
    const CstImageFormat *format;
    const CstImageCreate *options; /**< capacity is the image's, rounded as for create */
    CstBlob *source;               /**< a guest's view; NULL: no source */
    uint64_t source_size;
    CstTask *task;
} CstMeasuring;

/**
 * Counts the units of @unit bytes in which the source has bytes other than known zeroes, from its
 * extents alone. Advances the task by the source's size.
 */
gboolean cst_measuring_count(const CstMeasuring *measuring, uint64_t unit, uint64_t *ret_count,
                             GError **error);

/**
 * Returns the size of an image with @meta bytes of metadata and @total units of @size bytes each,
 * of which @used are allocated.
 */
static inline CstImageMeasure cst_measure_of(uint64_t meta, uint64_t used, uint64_t total,
                                             uint64_t size)
{
    return (CstImageMeasure){.required = meta + used * size,
                             .fully_allocated = meta + total * size};
}
