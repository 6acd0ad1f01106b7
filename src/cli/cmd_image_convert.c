/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd_image.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/pack.h>

/** One conversion. */
typedef struct {
    const char *source_name, *path;
    const CstImageFormat *format;
    CstImageOptions options;
    CstChain *source;
    CliImageTarget target;
    gboolean target_is_zero;
    gboolean compress;
} Conversion;

static void conversion_clear(Conversion *conversion)
{
    cst_chain_free(conversion->source);
    cst_image_options_clear(&conversion->options);
    cli_image_target_clear(&conversion->target);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Conversion, conversion_clear)

/** VMDK has a variant whose data is always compressed. */
static void ask_for_compression(Conversion *conversion)
{
    CstImageCreate *create = &conversion->options.create;

    conversion->compress = TRUE;
    if (!create->subformat && strcmp(cst_image_format_name(conversion->format), "vmdk") == 0)
        create->subformat = "streamOptimized";
}

static gboolean check_options(const CliArgs *args, Conversion *conversion, GError **error)
{
    const CstImageOptions *options = &conversion->options;

    if (options->create.backing || options->create.backing_format)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, "%s",
                        _("a converted image holds all data itself; it has no backing file"));
    if (options->has_size)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, "%s",
                        _("a converted image has the size of its source; use image-resize"));
    if (cli_args_has(args, "compress"))
        ask_for_compression(conversion);
    return TRUE;
}

static gboolean fill_compressed(Conversion *conversion, CstBlob *from, CstImage *image,
                                CstTask *task, GError **error)
{
    if (cst_image_compression_unit(image) == 0)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("compressed images of format '%s' can't be written"),
                        cst_image_format_name(conversion->format));
    return cst_image_pack(from, image, task, error) && cst_image_flush(image, error);
}

/** Copies what the guest sees into the empty image. */
static gboolean fill(Conversion *conversion, CstBlob *from, CstBlob *to, CstTask *task,
                     GError **error)
{
    uint64_t size = conversion->options.create.capacity;
    /* An image made just now reads as zeroes; a bare device holds what it held. */
    gboolean zero =
        to != conversion->target.blob || conversion->target.dir || conversion->target_is_zero;

    return cst_blob_copy(from, 0, to, 0, size, zero ? CST_COPY_DST_ZERO : 0, task, error) &&
           cst_blob_flush(to, error);
}

static gboolean is_always_compressed(const CstImageCreate *create)
{
    return g_strcmp0(create->subformat, "streamOptimized") == 0;
}

static gboolean run_conversion(CstTask *task, gpointer data, GError **error)
{
    Conversion *conversion = data;
    CstImageCreate *create = &conversion->options.create;
    CstBlob *draft = conversion->target.blob;
    const CstImageFiles files = cli_image_parts(draft);
    const CstImageOpen how = {.flags = CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, .files = &files};
    CstBlob *from = cst_chain_guest(conversion->source);
    g_autoptr(CstBlob) to = NULL;
    CstImage *image;

    create->files = &files;
    create->file_name = conversion->target.name;
    if (!cst_blob_get_size(from, &create->capacity, error))
        return FALSE;
    cst_task_set_total(task, create->capacity);
    if (create->preallocation > CST_PREALLOC_METADATA)
        cst_task_add_total(task, create->capacity);
    if (!cst_image_create(draft, conversion->format, create, task, error))
        return FALSE;
    image = cst_image_open_as(draft, conversion->format, &how, error);
    if (!image)
        return FALSE;
    /* What compresses by itself takes plain writes. */
    if (conversion->compress && !is_always_compressed(create)) {
        gboolean ok = fill_compressed(conversion, from, image, task, error);

        cst_image_free(image);
        return ok;
    }
    to = cst_image_guest_blob(image);
    return fill(conversion, from, to, task, error);
}

static gboolean read_arguments(CliCtl *ctl, const CliArgs *args, Conversion *conversion,
                               gboolean *ret_help, GError **error)
{
    conversion->target_is_zero = cli_args_has(args, "target-is-zero");
    return cli_args_string(args, "source", &conversion->source_name, error) &&
           cli_args_string(args, "target", &conversion->path, error) &&
           cli_image_format_arg(args, "target-format", &conversion->format, error) &&
           cli_image_options(ctl, args, conversion->format, &conversion->options, ret_help,
                             error) &&
           check_options(args, conversion, error);
}

gboolean cli_cmd_image_convert(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Conversion) conversion = {0};
    gboolean help;

    if (!read_arguments(ctl, args, &conversion, &help, error))
        return FALSE;
    if (help)
        return TRUE;
    conversion.source = cli_image_source(ctl, args, "source", "source-format", error);
    if (!conversion.source)
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
