/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Checked dispatch of the dirty bitmap calls. This file checks the limits for all formats: the
 * length of a name and the range of a granularity as in QEMU, and equal formats and sizes for a
 * merge. The format defines the layout of bitmaps on the disk.
 */
#include <image/bitmap.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "dispatch.h"

#define NAME_MAX_BYTES  1023
#define MIN_GRANULARITY 512
#define MAX_GRANULARITY (UINT64_C(1) << 31)

static gboolean has_bitmaps(CstImage *image, GError **error)
{
    return image->format->bitmaps ||
           cst_fail(error, CST_ERROR_UNSUPPORTED, _("images of format '%s' have no bitmaps"),
                    image->format->name);
}

static gboolean may_change(CstImage *image, GError **error)
{
    return has_bitmaps(image, error) && image_may_change(image, error);
}

void cst_image_bitmap_free(CstImageBitmap *bitmap)
{
    g_free(bitmap->name);
    g_free(bitmap);
}

GPtrArray *cst_image_bitmap_list(CstImage *image, GError **error)
{
    GPtrArray *list;
    CstCall call;

    if (!has_bitmaps(image, error))
        return NULL;
    call = image_call_begin(image->format, "bitmaps->list", image->blob->name);
    list = image->format->bitmaps->list(image, &call.why);
    if (!cst_call_end(&call, list != NULL, error))
        g_clear_pointer(&list, g_ptr_array_unref);
    return list;
}

gboolean cst_image_bitmap_add(CstImage *image, const char *name, uint64_t granularity,
                              gboolean enabled, GError **error)
{
    if (!may_change(image, error))
        return FALSE;
    if (*name == '\0' || strlen(name) > NAME_MAX_BYTES)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a bitmap's name must have between 1 and %d bytes"), NAME_MAX_BYTES);
    if (granularity != 0 && !cst_is_power_of_two(granularity, MIN_GRANULARITY, MAX_GRANULARITY))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a bitmap's granularity must be a power of two between 512 bytes and "
                          "2 GiB"));
    return IMAGE_CALL(image, bitmaps->add, error, name, granularity, enabled);
}

gboolean cst_image_bitmap_remove(CstImage *image, const char *name, GError **error)
{
    return may_change(image, error) && IMAGE_CALL(image, bitmaps->remove, error, name);
}

gboolean cst_image_bitmap_clear(CstImage *image, const char *name, GError **error)
{
    return may_change(image, error) && IMAGE_CALL(image, bitmaps->clear, error, name);
}

gboolean cst_image_bitmap_enable(CstImage *image, const char *name, gboolean enabled,
                                 GError **error)
{
    return may_change(image, error) && IMAGE_CALL(image, bitmaps->enable, error, name, enabled);
}

gboolean cst_image_bitmap_merge(CstImage *image, const char *name, CstImage *source,
                                const char *source_name, GError **error)
{
    if (!may_change(image, error) || !has_bitmaps(source, error))
        return FALSE;
    if (source->format != image->format || source->capacity != image->capacity)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' and '%s' differ in size or format: their bitmaps can't be merged"),
                        image->blob->name, source->blob->name);
    return IMAGE_CALL(image, bitmaps->merge, error, name, source, source_name);
}

GArray *cst_image_bitmap_ranges(CstImage *image, const char *name, guint max, CstTask *task,
                                GError **error)
{
    GArray *ranges;
    CstCall call;

    if (!has_bitmaps(image, error))
        return NULL;
    call = image_call_begin(image->format, "bitmaps->ranges", image->blob->name);
    ranges = image->format->bitmaps->ranges(image, name, max, task, &call.why);
    if (!cst_call_end(&call, ranges != NULL, error))
        g_clear_pointer(&ranges, g_array_unref);
    return ranges;
}
