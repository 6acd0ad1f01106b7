/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/measure.h>

/** What a format's arithmetic starts from. */
typedef struct {
    const CstImageFormat *format;
    const CstImageCreate *options; /**< capacity is the image's, rounded as for create */
    CstBlob *source;               /**< a guest's view; NULL: none */
    uint64_t source_size;
    CstTask *task;
} CstMeasuring;

/** Units of @unit bytes in which the source has something else than zeroes; advances the task. */
gboolean cst_measuring_count(const CstMeasuring *measuring, uint64_t unit, uint64_t *ret_count,
                             GError **error);

/** The space of @total units, each at most @size bytes long, of which @used are in use, behind
 *  @meta bytes of metadata. */
static inline CstImageMeasure cst_measure_of(uint64_t meta, uint64_t used, uint64_t total,
                                             uint64_t size)
{
    return (CstImageMeasure){.required = meta + used * size,
                             .fully_allocated = meta + total * size};
}
