/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Backing files outside of all pools, which a pool's follow policy or a declaration lets in.
 * Nothing is claimed for them, and they are only read. What such a file names itself is judged as
 * it would be in a pool: by where the file lies.
 */
#include "image_outside.h"

#include <sys/stat.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <image/image.h>

#include "image_chain.h"

/*
 * Describes the file as a pool's scan would, with its path as the name. @shared: others can write
 * to its directory.
 */
static CstVolume *describe(const char *path, gboolean shared, const CstImageInfo *info)
{
    g_autofree char *dir = g_path_get_dirname(path);
    CstVolume *volume = cst_volume_new(path);
    CstVolumeExtra *extra = cst_volume_extra(volume);

    volume->type = CST_VOL_FILE;
    volume->flags = shared ? CST_VOLUME_SHARED : 0;
    volume->format = cst_image_format_name(info->format);
    volume->capacity = info->capacity;
    extra->backing_path = info->backing ? g_canonicalize_filename(info->backing, dir) : NULL;
    extra->backing_format = g_strdup(info->backing_format);
    extra->data_file = g_strdup(info->data_file);
    cst_volume_judge(volume, NULL);
    return volume;
}

gboolean image_outside_open(ImageLink *link, const ImageLink *owner, GError **error)
{
    const CstVolumeExtra *extra = owner->volume->extra;
    g_autofree char *dir = g_path_get_dirname(extra->backing_path);
    g_auto(CstImageInfo) info = {0};
    const CstImageFormat *format = NULL;
    struct stat above;
    gboolean shared = stat(dir, &above) < 0 || !cst_only_we_write(&above);

    if (shared && extra->backing_trust != CST_TRUST_NAMED)
        return cst_fail(error, CST_ERROR_DENIED,
                        _("volume '%s' is based on '%s', which lies in no active pool and where "
                          "others can write; declare it if that is meant (vol-trust %s)"),
                        owner->volume->name, extra->backing_path, owner->volume->name);
    /*
     * Without a declared format the content is probed: the file lies where only we write, or is
     * declared.
     */
    if (extra->backing_format && !(format = cst_image_format_find(extra->backing_format, error)))
        return FALSE;
    link->path = g_strdup(extra->backing_path);
    link->blob = cst_blob_file_open(link->path, FALSE, error);
    if (!link->blob || !cst_image_inspect(link->blob, format, &info, error))
        return FALSE;
    link->volume = describe(link->path, shared, &info);
    return TRUE;
}
