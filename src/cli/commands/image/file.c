/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens the files that the command line of image commands names. A path inside an image is followed
 * only with consent. --backing-chain permits backing files, and data files next to the image.
 * --data-file permits a data file in any place. A file that is opened for writing is claimed, so
 * that no other program opens it. For a reader, a writing program only causes a warning.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/place.h>
#include <base/units.h>
#include <base/url.h>
#include <image/convert.h>
#include <image/hold.h>

#include "output/report.h"
#include "output/text.h"

static void warn_of_writer(CliCtl *ctl, CstBlob *blob)
{
    g_autofree char *who = NULL;

    if (ctl->settings.quiet || (ctl->current && cli_args_has(ctl->current, "force-share")) ||
        !cst_image_is_written(blob, &who))
        return;
    cli_warn(ctl,
             _("warning: '%s' is being written by %s; the content that is read may be stale or "
               "inconsistent\n"),
             blob->name, who);
}

CstBlob *cli_image_blob(CliCtl *ctl, const char *path, gboolean writable, GError **error)
{
    g_autoptr(CstBlob) blob =
        writable ? cst_image_open_unused(path, error) : cst_blob_file_open(path, FALSE, error);

    if (!blob)
        return NULL;
    if (!writable) {
        warn_of_writer(ctl, blob);
        return g_steal_pointer(&blob);
    }
    cli_warn_of_path(ctl, path);
    /* A writer may have opened the file since the check. */
    return cst_image_refuse_writer(blob, error) ? g_steal_pointer(&blob) : NULL;
}

gboolean cli_backing_format_given(const char *format, const char *option, GError **error)
{
    return format || cst_fail(error, CST_ERROR_USAGE,
                              _("say the backing file's format with --%s: a guessed one could be "
                                "deceived"),
                              option);
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

gboolean cli_image_cache(const CliArgs *args, gboolean *ret_unsafe, GError **error)
{
    const char *cache = NULL;

    if (!cli_args_string(args, "cache", &cache, error))
        return FALSE;
    *ret_unsafe = g_strcmp0(cache, "unsafe") == 0;
    return !cache || *ret_unsafe || g_strcmp0(cache, "writeback") == 0 ||
           cst_fail(error, CST_ERROR_USAGE, _("--cache must be writeback or unsafe, not '%s'"),
                    cache);
}

gboolean cli_image_target_format(const CliArgs *args, const CstImageFormat **ret_format,
                                 GError **error)
{
    if (!cli_image_format_arg(args, "target-format", ret_format, error))
        return FALSE;
    if (!*ret_format)
        *ret_format = cst_image_format_find("raw", error);
    return *ret_format != NULL;
}

static void warn_of_guess(CliCtl *ctl, const char *path)
{
    if (ctl->settings.json || ctl->settings.quiet)
        return;
    cli_warn(ctl,
             _("warning: the format of '%s' was not given and is guessed as raw; a guest can make "
               "a raw image look like any other, so say -f raw\n"),
             path);
}

static const CstImageFormat *guess_format(CliCtl *ctl, CstBlob *blob, GError **error)
{
    g_auto(CstImageInfo) info = {0};

    if (!cst_image_inspect(blob, NULL, &info, error))
        return NULL;
    if (cst_image_format_is_raw(info.format))
        warn_of_guess(ctl, blob->name);
    return info.format;
}

CstBlob *cli_image_open(CliCtl *ctl, const CliArgs *args, const char *path, const char *option,
                        gboolean writable, const CstImageFormat **ret_format, GError **error)
{
    const char *name = NULL;
    g_autoptr(CstBlob) blob = NULL;

    if (!cli_args_string(args, option, &name, error))
        return NULL;
    blob = cli_image_blob(ctl, path, writable, error);
    if (!blob)
        return NULL;
    *ret_format = name ? cst_image_format_find(name, error) : guess_format(ctl, blob, error);
    return *ret_format ? g_steal_pointer(&blob) : NULL;
}

void cli_warn_of_sector_size(CliCtl *ctl, const char *name, unsigned size)
{
    cli_warn(
        ctl,
        _("warning: the sectors of '%s' have %u bytes, which the new image does not "
          "record; its guest needs <blockio logical_block_size='%u'/> in the <disk> element\n"),
        name, size, size);
}

gboolean cli_image_keep_sector_size(const CliArgs *args, CstChain *source,
                                    const CstImageFormat *format, CstImageCreate *create,
                                    GError **error)
{
    const unsigned flags =
        cli_args_has(args, "drop-sector-size") ? CST_CONVERT_DROP_SECTOR_SIZE : 0;

    return cst_image_keep_sector_size(cst_chain_guest(source), format, create, flags, error);
}

void cli_image_warn_of_sector_size(CliCtl *ctl, CstChain *source, const CstImageFormat *format)
{
    const unsigned size = cst_guest_sector_size(cst_chain_guest(source));

    if (size != CST_SECTOR_SIZE && !cst_image_format_has_sector_size(format))
        cli_warn_of_sector_size(ctl, cst_chain_blob(source, 0)->name, size);
}

/* --- sizes and formats ----------------------------------------------------------------------- */

char *cli_image_size_text(const CliCtl *ctl, uint64_t bytes)
{
    const char *unit;
    double value = cst_units_pretty(bytes, &unit);

    if (ctl->settings.bytes)
        return g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    /* Use three digits, but avoid 1e+03. */
    return g_strdup_printf(value < 999.5 ? "%.3g %s" : "%.0f %s", value, unit);
}

uint64_t cli_image_made_size(CstBlob *guest)
{
    uint64_t size;

    return cst_blob_get_size(guest, &size, NULL) ? size : CLI_BYTES_UNKNOWN;
}

void cli_complete_image_formats(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (const CstImageFormat *const *format = cst_image_formats(); *format; format++)
        g_ptr_array_add(words, g_strdup(cst_image_format_name(*format)));
}

void cli_complete_vol_formats(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (const CstImageFormat *const *format = cst_image_formats(); *format; format++)
        if (cst_image_format_can_create(*format))
            g_ptr_array_add(words, g_strdup(cst_image_format_name(*format)));
}

/* --- sources --------------------------------------------------------------------------------- */

/* The extents of a VMDK are files next to it. The data file of a qcow2 image could be any file. */
static gboolean names_data_file(const CstImageInfo *info)
{
    return info->compat && info->data_file;
}

static gboolean deny_data(CstBlob *blob, const char *name, GError **error)
{
    g_autofree char *shown = cst_reference_shown(name);

    return cst_fail(error, CST_ERROR_DENIED,
                    _("'%s' keeps its data in '%s', which is opened only when --data-file names "
                      "it; look whether that is the file that it should be"),
                    blob->name, shown);
}

/* Warns if another program writes to @blob, which is read. Returns @blob; NULL: it is not open. */
static CstBlob *file_opened(CliCtl *ctl, CstBlob *blob, gboolean writable)
{
    if (blob && !writable)
        warn_of_writer(ctl, blob);
    return blob;
}

static CstBlob *data_open(CliCtl *ctl, CstBlob *owner, const char *name, gboolean writable,
                          GError **error)
{
    const CliArgs *args = ctl->current;
    const CstImageFiles beside = cst_path_parts(owner);
    g_auto(GStrv) consented = NULL;
    const char *text = NULL;

    if (!cli_args_string(args, "data-file", &text, error))
        return NULL;
    if (text) {
        consented = g_strsplit(text, ",", -1);
        return cst_path_open_data(owner, name, (const char *const *)consented, writable, error);
    }
    if (cli_args_has(args, "backing-chain") && !strchr(name, '/'))
        return beside.open(name, writable, beside.data, error);
    deny_data(owner, name, error);
    return NULL;
}

CstBlob *cli_image_open_data(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                             GError **error)
{
    return file_opened(data, data_open(data, owner, name, writable, error), writable);
}

static CstBlob *image_open_backing(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    const CstChainFiles files = cst_path_files(CST_PATH_FOLLOW);

    return file_opened(data, files.open_backing(owner, name, files.data, error), FALSE);
}

static CstBlob *image_open_part(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                                GError **error)
{
    const CstChainFiles files = cst_path_files(0);

    return file_opened(data, files.open_part(owner, name, writable, files.data, error), writable);
}

CstChainFiles cli_image_files(CliCtl *ctl)
{
    return (CstChainFiles){
        .open_backing = cli_args_has(ctl->current, "backing-chain") ? image_open_backing : NULL,
        .open_part = image_open_part,
        .open_data = cli_image_open_data,
        .create_part = cst_path_files(0).create_part,
        .data = ctl,
    };
}

static gboolean check_data(const CliArgs *args, CstBlob *blob, const CstImageInfo *info,
                           GError **error)
{
    return !names_data_file(info) || cli_args_has(args, "data-file") ||
           deny_data(blob, info->data_file, error);
}

static CstBlob *image_part_open(const char *name, gboolean writable, gpointer data, GError **error)
{
    CliImageParts *parts = data;

    return cli_args_has(parts->ctl->current, "data-file")
               ? cli_image_open_data(parts->blob, name, writable, parts->ctl, error)
               : image_open_part(parts->blob, name, writable, parts->ctl, error);
}

gboolean cli_image_parts(CliImageParts *parts, const CstImageFormat *format,
                         CstImageFiles *ret_files, GError **error)
{
    g_auto(CstImageInfo) info = {0};

    *ret_files = (CstImageFiles){.open = image_part_open, .data = parts};
    return cst_image_inspect(parts->blob, format, &info, error) &&
           check_data(parts->ctl->current, parts->blob, &info, error);
}

static CstBlob *own_part_open(const char *name, gboolean writable, gpointer data, GError **error)
{
    const CliImageParts *parts = data;

    return image_open_part(parts->blob, name, writable, parts->ctl, error);
}

CstImageFiles cli_image_own_parts(CliImageParts *parts)
{
    return (CstImageFiles){.open = own_part_open, .data = parts};
}

static gboolean check_image_standalone(const CliArgs *args, CstBlob *blob,
                                       const CstImageFormat *format, GError **error)
{
    g_auto(CstImageInfo) info = {0};
    g_autofree char *shown = NULL;

    if (!cst_image_inspect(blob, format, &info, error))
        return FALSE;
    shown = info.backing ? cst_reference_shown(info.backing) : NULL;
    if (shown)
        return cst_fail(error, CST_ERROR_DENIED,
                        _("'%s' is based on '%s', which is opened only with --backing-chain"),
                        blob->name, shown);
    return check_data(args, blob, &info, error);
}

static CstChain *open_source_chain(CliCtl *ctl, const CliArgs *args, CstBlob *blob,
                                   const CstImageFormat *format, const char *snapshot,
                                   GError **error)
{
    const CstChainFiles files = cli_image_files(ctl);
    g_autoptr(CstChain) chain = NULL;

    if (!cli_image_may_follow(args, blob, format, error))
        return NULL;
    chain = cst_chain_look(blob, format, &files, error);
    return chain && cst_chain_open_images(chain, 0, snapshot, error) ? g_steal_pointer(&chain)
                                                                     : NULL;
}

CstChain *cli_image_source(CliCtl *ctl, const CliArgs *args, const char *option, const char *format,
                           GError **error)
{
    return cli_image_source_at(ctl, args, option, format, NULL, error);
}

CstChain *cli_image_source_at(CliCtl *ctl, const CliArgs *args, const char *option,
                              const char *format, const char *snapshot, GError **error)
{
    const char *path = NULL;

    return cli_args_string(args, option, &path, error)
               ? cli_image_source_path(ctl, args, path, format, snapshot, error)
               : NULL;
}

CstChain *cli_image_source_path(CliCtl *ctl, const CliArgs *args, const char *path,
                                const char *format, const char *snapshot, GError **error)
{
    const CstImageFormat *found = NULL;
    g_autoptr(CstBlob) blob = cli_image_open(ctl, args, path, format, FALSE, &found, error);

    return blob ? open_source_chain(ctl, args, blob, found, snapshot, error) : NULL;
}

gboolean cli_image_may_follow(const CliArgs *args, CstBlob *blob, const CstImageFormat *format,
                              GError **error)
{
    return cli_args_has(args, "backing-chain") || check_image_standalone(args, blob, format, error);
}

CstBlob *cli_image_changing(CliCtl *ctl, const CliArgs *args, const CstImageFormat **ret_format,
                            GError **error)
{
    const char *path = NULL;

    return cli_args_string(args, "file", &path, error)
               ? cli_image_open(ctl, args, path, "format", TRUE, ret_format, error)
               : NULL;
}

CstChain *cli_image_open_changing(CliCtl *ctl, const CliArgs *args, const CstChainFiles *files,
                                  GError **error)
{
    const CstImageFormat *format = NULL;
    g_autoptr(CstBlob) blob = cli_image_changing(ctl, args, &format, error);

    return blob ? cst_chain_open(blob, format, CST_IMAGE_WRITE, files, error) : NULL;
}
