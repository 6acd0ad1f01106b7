/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd_image.h"

#include <base/error.h>
#include <base/i18n.h>
#include <image/convert.h>
#include <image/hold.h>

/** One conversion. */
typedef struct {
    const char *source_name, *path;
    const char *snapshot; /**< of the source; NULL: what it holds now */
    const CstImageFormat *format;
    CstImageOptions options;
    CstChain *source;
    CliImageTarget target;
    unsigned flags;  /**< CstConvertFlags */
    gboolean unsafe; /**< not synced */
} Conversion;

static void conversion_clear(Conversion *conversion)
{
    cst_chain_free(conversion->source);
    cst_image_options_clear(&conversion->options);
    cli_image_target_clear(&conversion->target);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Conversion, conversion_clear)

/* qemu-img's words. Without the option the copy is on the disk when the command ends. */
static gboolean read_cache(const CliArgs *args, Conversion *conversion, GError **error)
{
    const char *cache = NULL;

    if (!cli_args_string(args, "cache", &cache, error))
        return FALSE;
    if (g_strcmp0(cache, "unsafe") == 0)
        conversion->unsafe = TRUE;
    return !cache || g_strcmp0(cache, "unsafe") == 0 || g_strcmp0(cache, "writeback") == 0 ||
           cst_fail(error, CST_ERROR_USAGE, _("--cache must be writeback or unsafe, not '%s'"),
                    cache);
}

static gboolean check_options(const CliArgs *args, Conversion *conversion, GError **error)
{
    if (!cst_image_options_for_copy(&conversion->options, error))
        return FALSE;
    if (cli_args_has(args, "compress"))
        conversion->flags |= CST_CONVERT_COMPRESS;
    if (cli_args_has(args, "target-is-zero"))
        conversion->flags |= CST_CONVERT_TARGET_ZERO;
    return TRUE;
}

static gboolean run_conversion(CstTask *task, gpointer data, GError **error)
{
    Conversion *conversion = data;
    CstImageCreate *create = &conversion->options.create;
    CstBlob *draft = conversion->target.blob;
    const CstImageFiles files = cst_path_parts(draft);
    /* A draft is a new file; a device holds what it held. */
    unsigned flags = conversion->flags | (conversion->target.dir ? CST_CONVERT_TARGET_ZERO : 0);

    if (conversion->unsafe)
        cst_blob_file_skip_sync(draft);
    create->files = &files;
    create->file_name = conversion->target.name;
    return cst_image_convert(cst_chain_guest(conversion->source), draft, conversion->format, create,
                             flags, task, error);
}

static gboolean read_arguments(CliCtl *ctl, const CliArgs *args, Conversion *conversion,
                               gboolean *ret_help, GError **error)
{
    return cli_args_string(args, "source", &conversion->source_name, error) &&
           cli_args_string(args, "target", &conversion->path, error) &&
           cli_image_format_arg(args, "target-format", &conversion->format, error) &&
           cli_image_options(ctl, args, conversion->format, &conversion->options, ret_help,
                             error) &&
           cli_args_string(args, "snapshot", &conversion->snapshot, error) &&
           read_cache(args, conversion, error) && check_options(args, conversion, error);
}

/** A copy lasts longer than a warning. */
static gboolean check_at_rest(const CliArgs *args, const CstChain *source, GError **error)
{
    for (guint i = 0; i < cst_chain_length(source) && !cli_args_has(args, "force-share"); i++) {
        CstBlob *blob = cst_chain_blob(source, i);
        g_autofree char *who = NULL;

        if (cst_image_is_written(blob, &who))
            return cst_fail(error, CST_ERROR_BUSY,
                            _("'%s' is being written by %s; stop it before the image is copied, or "
                              "say --force-share"),
                            blob->name, who);
    }
    return TRUE;
}

gboolean cli_cmd_image_convert(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Conversion) conversion = {0};
    gboolean help;

    if (!read_arguments(ctl, args, &conversion, &help, error))
        return FALSE;
    if (help)
        return TRUE;
    conversion.source =
        cli_image_source_at(ctl, args, "source", "source-format", conversion.snapshot, error);
    if (!conversion.source || !check_at_rest(args, conversion.source, error))
        return FALSE;
    if (cli_dry_run(ctl, _("Would convert image %s to %s, format %s"), conversion.source_name,
                    conversion.path, cst_image_format_name(conversion.format)))
        return TRUE;
    if (!cli_image_target_open(ctl, conversion.path, &conversion.target, error) ||
        !cli_run_task(ctl, _("Converting"), run_conversion, &conversion, error) ||
        !cli_image_target_commit(&conversion.target, error))
        return cli_failed(ctl, _("Failed to convert image %s"), conversion.source_name);
    cli_done(ctl, "image", conversion.path, _("Image %s converted to %s"), conversion.source_name,
             conversion.path);
    return TRUE;
}
