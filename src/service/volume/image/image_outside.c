/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Backing files outside of all pools, permitted by a pool's follow policy or a declaration. They
 * are not claimed, and only read. References of such a file are judged as in a pool, by the
 * location of the file.
 */
#include "image_outside.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/url.h>
#include <image/image.h>

#include "image_chain.h"
#include "image_record.h"

/* Follows each link in @path, because an administrator has declared it. */
static CstBlob *open_declared(const char *path, GError **error)
{
    int fd = cst_node_open(path, O_RDONLY | O_NOCTTY);

    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot open '%s'"), path);
        return NULL;
    }
    return cst_blob_file_new(fd, path, FALSE, error);
}

gboolean image_outside_open(ImageLink *link, const ImageLink *owner, GError **error)
{
    const CstVolumeExtra *extra = owner->volume->extra;
    g_autofree char *dir = g_path_get_dirname(extra->backing_path);
    g_autofree char *shown = cst_reference_shown(extra->backing_path);
    g_auto(CstImageInfo) info = {0};
    const CstImageFormat *format = NULL;
    struct stat above;
    gboolean shared;

    if (!g_path_is_absolute(extra->backing_path))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is based on '%s', which is no file; only files can be followed"),
                        owner->volume->name, shown);
    shared = stat(dir, &above) < 0 || !cst_only_we_write(&above);

    if (shared && extra->backing_trust != CST_TRUST_NAMED)
        return cst_fail(error, CST_ERROR_DENIED,
                        _("volume '%s' is based on '%s', which is not in an active pool, and other "
                          "users can write there; declare it if that is intended (vol-trust %s)"),
                        owner->volume->name, shown, owner->volume->name);
    /*
     * Without a declared format the content is probed. That is safe, because either only this user
     * can write to the directory, or the file is declared by name.
     */
    if (extra->backing_format && !(format = cst_image_format_find(extra->backing_format, error)))
        return FALSE;
    link->path = g_strdup(extra->backing_path);
    link->blob = extra->backing_trust == CST_TRUST_NAMED
                     ? open_declared(link->path, error)
                     : cst_blob_file_open(link->path, FALSE, error);
    if (!link->blob || !cst_image_inspect(link->blob, format, &info, error))
        return FALSE;
    link->volume = image_record_new(link->path, CST_VOL_FILE, dir, &info);
    link->volume->flags = shared ? CST_VOLUME_SHARED : 0;
    cst_volume_judge(link->volume, NULL);
    return TRUE;
}
