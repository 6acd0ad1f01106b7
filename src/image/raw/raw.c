/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Raw images: the bytes of the file are the guest's bytes, so the format has no metadata. Reads and
 * writes bypass this file, because the guest's view of a plain image is the file's own blob
 * (guest.c). A device that is larger than the image keeps its size and is zeroed up to the
 * capacity.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <blob/steps.h>

#include "raw.h"
#include "space.h"

static void raw_inspect(CstInspection *inspection)
{
    inspection->info->capacity = inspection->size;
}

static gboolean raw_create(const CstImageFormat *format, CstBlob *blob,
                           const CstImageCreate *options, CstTask *task, GError **error)
{
    gboolean zeroed = FALSE;

    if (!cst_space_reset(blob, options->capacity, &zeroed, error) ||
        (!zeroed &&
         !cst_blob_zero_steps(blob, 0, options->capacity, CST_ZERO_MAY_UNMAP, task, error)))
        return FALSE;
    return cst_space_preallocate(blob, 0, options->capacity, options->preallocation, task, error);
}

static gboolean raw_measure(const CstMeasuring *measuring, CstImageMeasure *ret_measure,
                            GError **error)
{
    uint64_t capacity = measuring->options->capacity;

    *ret_measure = (CstImageMeasure){.required = capacity, .fully_allocated = capacity};
    cst_task_skip(measuring->task, measuring->source_size);
    return TRUE;
}

CstImage *cst_raw_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                       GError **error)
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

void cst_raw_close(CstImage *image)
{
    g_free(image);
}

gboolean cst_raw_flush(CstImage *image, GError **error)
{
    return cst_blob_flush(image->blob, error);
}

gboolean cst_raw_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
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
    .alias = "host_device", /* QEMU's name for the raw content of a block device */
    .inspect = raw_inspect,
    .create = raw_create,
    .measure = raw_measure,
    .is_plain = TRUE,
    .is_raw = TRUE,
    .open = cst_raw_open,
    .close = cst_raw_close,
    .flush = cst_raw_flush,
    .resize = cst_raw_resize,
};
