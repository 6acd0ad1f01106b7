/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "format.h"
#include "space.h"

static void raw_inspect(CstImageLook *look)
{
    look->info->capacity = look->size;
}

static gboolean raw_create(CstBlob *blob, const CstImageCreate *options, CstTask *task,
                           GError **error)
{
    gboolean zeroed = FALSE;

    if (!cst_space_reset(blob, options->capacity, &zeroed, error) ||
        (!zeroed && !cst_blob_zero(blob, 0, options->capacity, CST_ZERO_MAY_UNMAP, error)))
        return FALSE;
    return cst_space_preallocate(blob, 0, options->capacity, options->preallocation, task, error);
}

static gboolean raw_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure,
                            GError **error)
{
    uint64_t capacity = measuring->options->capacity;

    *ret_measure = (CstImageMeasure){.required = capacity, .fully_allocated = capacity};
    cst_task_advance(measuring->task, measuring->source_size);
    return TRUE;
}

static CstImage *raw_open(CstBlob *blob, const CstImageOpen *how, GError **error)
{
    uint64_t size = 0;
    CstImage *image;

    if (how->backing) {
        cst_fail(error, CST_ERROR_INVALID, _("a raw image has no backing image"));
        return NULL;
    }
    if (!cst_blob_get_size(blob, &size, error))
        return NULL;
    image = g_new0(CstImage, 1);
    image->capacity = size;
    return image;
}

static void raw_close(CstImage *image)
{
    g_free(image);
}

static gboolean raw_flush(CstImage *image, GError **error)
{
    return cst_blob_flush(image->blob, error);
}

static gboolean raw_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                           CstTask *task, GError **error)
{
    uint64_t old = image->capacity;

    if (preallocation == CST_PREALLOC_METADATA)
        return cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED,
                        _("image format '%s' has no option '%s'"), "raw", "preallocation=metadata");
    if (!cst_blob_resize(image->blob, capacity, error))
        return FALSE;
    image->capacity = capacity;
    if (capacity <= old)
        return TRUE;
    return cst_space_preallocate(image->blob, old, capacity - old, preallocation, task, error);
}

const CstImageFormat cst_format_raw = {
    .name = "raw",
    .inspect = raw_inspect,
    .create = raw_create,
    .measure = raw_measure,
    .is_plain = TRUE,
    .open = raw_open,
    .close = raw_close,
    .flush = raw_flush,
    .resize = raw_resize,
};
