/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Measures an image before it is created. Rounds the capacity as create does, and passes the source
 * to the format, which may count its extents in units of the format.
 */
#include <image/measure.h>

#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "format.h"

gboolean cst_measuring_count(const CstMeasuring *measuring, uint64_t unit, uint64_t *ret_count,
                             GError **error)
{
    uint64_t count = 0, counted = 0; /* end of the units that have been counted */
    CstExtent run;

    for (uint64_t at = 0; at < measuring->source_size; at += run.length) {
        if (!cst_task_check(measuring->task, error) ||
            !cst_blob_extent(measuring->source, at, measuring->source_size - at, &run, error))
            return FALSE;
        cst_task_skip(measuring->task, run.length);
        if (!(run.flags & CST_EXTENT_ZERO)) {
            uint64_t first = MAX(at / unit, counted);

            counted = cst_div_up(at + run.length, unit);
            count += counted - first;
        }
    }
    *ret_count = count;
    return TRUE;
}

gboolean cst_image_measure(const CstImageFormat *format, const CstImageCreate *options,
                           CstBlob *source, CstImageMeasure *ret_measure, CstTask *task,
                           GError **error)
{
    CstImageCreate rounded = *options;
    CstMeasuring measuring = {
        .format = format, .options = &rounded, .source = source, .task = task};

    if (!format->measure)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("images of format '%s' can't be created: their size is not known "
                          "beforehand"),
                        format->name);
    if (!cst_image_check_create(format, options, error) ||
        (source && !cst_blob_get_size(source, &measuring.source_size, error)))
        return FALSE;
    if (source)
        rounded.capacity = measuring.source_size;
    if (rounded.capacity > G_MAXINT64 / 2)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a capacity of %" PRIu64
                          " bytes is too large to be measured: it must be below 4 EiB"),
                        rounded.capacity);
    if (!source || !format->is_plain)
        rounded.capacity = cst_div_up(rounded.capacity, 512) * 512;
    cst_task_add_total(task, measuring.source_size);
    return cst_format_measure(&measuring, ret_measure, error);
}
