/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd_image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/units.h>
#include <image/hold.h>

#include "complete.h"

CstBlob *cli_image_blob(const char *path, gboolean writable, GError **error)
{
    /* O_NONBLOCK: a pipe is refused below, not waited for. */
    int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot open '%s'"), path);
        return NULL;
    }
    return cst_blob_file_new(fd, path, writable, error);
}

gboolean cli_image_format_arg(const CliArgs *args, const char *option,
                              const CstImageFormat **ret_format, GError **error)
{
    const char *name = NULL;

    if (!cli_args_string(args, option, &name, error))
        return FALSE;
    *ret_format = name ? cst_image_format_find(name, error) : NULL;
    return !name || *ret_format;
}

static void warn_of_guess(CliCtl *ctl, const char *path)
{
    if (ctl->settings.json || ctl->settings.quiet)
        return;
    fflush(ctl->out);
    fprintf(ctl->err,
            _("warning: the format of '%s' was not given and is guessed as raw; a guest can make "
              "a raw image look like any other, so say -f raw\n"),
            path);
}

const CstImageFormat *cli_image_format(CliCtl *ctl, CstBlob *blob, const char *name, GError **error)
{
    g_auto(CstImageInfo) info = {0};

    if (name)
        return cst_image_format_find(name, error);
    if (!cst_image_inspect(blob, NULL, &info, error))
        return NULL;
    if (strcmp(cst_image_format_name(info.format), "raw") == 0)
        warn_of_guess(ctl, blob->name);
    return info.format;
}

/* --- files that an image names --------------------------------------------------------------- */

char *cli_image_named_path(const char *owner, const char *name)
{
    const char *path = g_str_has_prefix(name, "file:") ? name + strlen("file:") : name;
    const char *colon = strchr(path, ':');
    const char *slash = strchr(path, '/');
    g_autofree char *dir = NULL;

    /* "nbd://…", "json:{…}": what stands before the first slash names a protocol. */
    if (colon && (!slash || colon < slash))
        return NULL;
    if (g_path_is_absolute(path) || !strchr(owner, '/'))
        return g_strdup(path);
    dir = g_path_get_dirname(owner);
    return g_build_filename(dir, path, NULL);
}

static CstBlob *open_backing(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    g_autofree char *path = cli_image_named_path(owner->name, name);

    if (!path) {
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("'%s' is based on '%s', which is no file; only files can be followed"),
                 owner->name, name);
        return NULL;
    }
    return cli_image_blob(path, FALSE, error);
}

/** Opens or makes @name in the image's own directory; links that lead out of it are refused. */
static CstBlob *beside(CstBlob *owner, const char *name, int flags, gboolean writable,
                       GError **error)
{
    g_autofree char *dir = g_path_get_dirname(owner->name);
    g_autofree char *full = g_build_filename(dir, name, NULL);
    g_auto(CstFd) dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd;

    if (!cst_name_check(name, _("part of an image"), error))
        return NULL;
    if (dirfd < 0) {
        cst_fail_errno(error, errno, _("cannot open '%s'"), dir);
        return NULL;
    }
    fd = cst_open_beneath(dirfd, name, flags | O_NOCTTY | O_NONBLOCK, flags & O_CREAT ? 0666 : 0,
                          error);
    return fd < 0 ? NULL : cst_blob_file_new(fd, full, writable, error);
}

static CstBlob *open_part(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error)
{
    return beside(owner, name, writable ? O_RDWR : O_RDONLY, writable, error);
}

static CstBlob *create_part(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    return beside(owner, name, O_RDWR | O_CREAT | O_EXCL, TRUE, error);
}

static CstBlob *open_own_part(const char *name, gboolean writable, gpointer data, GError **error)
{
    return open_part(data, name, writable, NULL, error);
}

static CstBlob *create_own_part(const char *name, gpointer data, GError **error)
{
    return create_part(data, name, NULL, error);
}

CstImageFiles cli_image_parts(CstBlob *owner)
{
    return (CstImageFiles){.open = open_own_part, .create = create_own_part, .data = owner};
}

CstChainFiles cli_image_files(gboolean follow)
{
    return (CstChainFiles){
        .open_backing = follow ? open_backing : NULL,
        .open_part = open_part,
        .create_part = create_part,
    };
}

/* --- words ----------------------------------------------------------------------------------- */

char *cli_image_size_text(const CliCtl *ctl, uint64_t bytes)
{
    const char *unit;
    double value = cst_units_pretty(bytes, &unit);

    if (ctl->settings.bytes)
        return g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    /* Three digits, but never 1e+03. */
    return g_strdup_printf(value < 999.5 ? "%.3g %s" : "%.0f %s", value, unit);
}

void cli_complete_image_formats(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (const CstImageFormat *const *format = cst_image_formats(); *format; format++)
        g_ptr_array_add(words, g_strdup(cst_image_format_name(*format)));
}

/* --- sources --------------------------------------------------------------------------------- */

/** The first other file that the guest's data is in; NULL: none. */
static const char *named_file(const CstImageInfo *info)
{
    /* Extents of a VMDK are parts beside it; the data file of a qcow2 image could be any file. */
    if (info->backing)
        return info->backing;
    return info->compat ? info->data_file : NULL;
}

static gboolean check_stands_alone(CstBlob *blob, const CstImageFormat *format, GError **error)
{
    g_auto(CstImageInfo) info = {0};

    if (!cst_image_inspect(blob, format, &info, error))
        return FALSE;
    if (!named_file(&info))
        return TRUE;
    return cst_fail(error, CST_ERROR_DENIED,
                    _("'%s' is based on '%s', which is opened only with --backing-chain"),
                    blob->name, named_file(&info));
}

static CstChain *open_source(CstBlob *blob, const CstImageFormat *format, gboolean follow,
                             GError **error)
{
    const CstChainFiles files = cli_image_files(follow);

    if (!follow && !check_stands_alone(blob, format, error))
        return NULL;
    return cst_chain_open(blob, format, 0, &files, error);
}

CstChain *cli_image_source(CliCtl *ctl, const CliArgs *args, const char *option, const char *format,
                           GError **error)
{
    const char *path = NULL, *name = NULL;
    const CstImageFormat *found;
    g_autoptr(CstBlob) blob = NULL;

    if (!cli_args_string(args, option, &path, error) ||
        !cli_args_string(args, format, &name, error))
        return NULL;
    blob = cli_image_blob(path, FALSE, error);
    found = blob ? cli_image_format(ctl, blob, name, error) : NULL;
    return found ? open_source(blob, found, cli_args_has(args, "backing-chain"), error) : NULL;
}

CstChain *cli_image_open_changing(CliCtl *ctl, const CliArgs *args, const CstChainFiles *files,
                                  GError **error)
{
    const char *path = NULL, *name = NULL;
    const CstImageFormat *format;
    g_autoptr(CstBlob) blob = NULL;

    if (!cli_args_string(args, "file", &path, error) ||
        !cli_args_string(args, "format", &name, error))
        return NULL;
    blob = cli_image_blob(path, TRUE, error);
    if (!blob || !cst_image_hold(blob, error))
        return NULL;
    format = cli_image_format(ctl, blob, name, error);
    return format ? cst_chain_open(blob, format, CST_IMAGE_WRITE, files, error) : NULL;
}
