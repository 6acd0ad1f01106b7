/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of images that no scan of a pool creates. They describe files outside of all pools, and
 * devices that are declared to contain an image and that their pools list as raw. They are created
 * for one operation and are in no table.
 */
#include "image_record.h"

#include <base/error.h>

#include "core/trust_device.h"

CstVolume *image_record_new(const char *name, CstVolType type, const char *dir,
                            const CstImageInfo *info)
{
    CstVolume *volume = cst_volume_new(name);
    CstVolumeExtra *extra = cst_volume_extra(volume);

    volume->type = type;
    volume->format = cst_image_format_name(info->format);
    volume->capacity = info->capacity;
    extra->backing_path = info->backing && dir ? g_canonicalize_filename(info->backing, dir)
                                               : g_strdup(info->backing);
    extra->backing_format = g_strdup(info->backing_format);
    extra->data_file = g_strdup(info->data_file);
    extra->problem = g_strdup(info->problem);
    return volume;
}

CstVolume *image_record_as(CstPoolState *state, const CstVolume *volume, const char *format,
                           GError **error)
{
    const CstImageFormat *declared = cst_image_format_find(format, error);
    const CstDeclaration none = {.restricted = TRUE};
    g_autoptr(CstBlob) blob = NULL;
    g_auto(CstImageInfo) info = {0};
    CstVolume *image;

    if (!declared)
        return NULL;
    blob = cst_pool_state_vol_open(state, volume->name, FALSE, error);
    if (!blob || !cst_image_inspect(blob, declared, &info, error))
        return NULL;
    image = image_record_new(volume->name, volume->type, NULL, &info);
    image->stamp = volume->stamp;
    cst_volume_judge(image, &none);
    return image;
}

CstVolume *image_record_declared(CstPool *pool, CstPoolState *state, CstVolume *volume,
                                 GError **error)
{
    const char *format;

    if (!trust_content_format(pool, state, volume, &format, error))
        return NULL;
    return format == volume->format ? cst_volume_ref(volume)
                                    : image_record_as(state, volume, format, error);
}
