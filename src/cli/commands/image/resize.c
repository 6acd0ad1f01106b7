/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-resize: changes the capacity of an image, in place. Shrinking discards the data after the
 * new end, so it needs --shrink and confirmation.
 */
#include "image.h"

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"

typedef struct {
    CstChain *chain;
    uint64_t capacity;
    CstPreallocation preallocation;
} Resizing;

static gboolean run_resizing(CstTask *task, gpointer data, GError **error)
{
    Resizing *resizing = data;
    CstImage *image = cst_chain_image(resizing->chain);

    return cst_image_resize(image, resizing->capacity, resizing->preallocation, task, error) &&
           cst_image_flush(image, error);
}

/** Parse "10G", or "+1G" and "-1G" relative to the current size. */
static gboolean resize_read_size(const CliArgs *args, uint64_t old, uint64_t *ret_size,
                                 GError **error)
{
    const char *text = NULL;
    uint64_t size = 0;
    char sign;

    if (!cli_args_string(args, "size", &text, error))
        return FALSE;
    sign = *text == '+' || *text == '-' ? *text++ : 0;
    if (!cst_units_parse(text, 1, &size, NULL) || (sign == '-' && size >= old) ||
        (sign == '+' && size > G_MAXINT64 - old))
        return cli_args_bad_number(text, "size", error);
    *ret_size = sign == '-' ? old - size : sign == '+' ? old + size : size;
    return TRUE;
}

static gboolean resize_read_arguments(const CliArgs *args, uint64_t old, Resizing *resizing,
                                      GError **error)
{
    const char *mode = NULL;

    if (!resize_read_size(args, old, &resizing->capacity, error) ||
        !cli_args_string(args, "preallocation", &mode, error))
        return FALSE;
    if (mode && !cst_preallocation_parse(mode, &resizing->preallocation))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("unknown preallocation '%s': use off, metadata, falloc or full"), mode);
    if (resizing->capacity < old && !cli_args_has(args, "shrink"))
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("shrinking discards the end of the image; say --shrink"));
    if (resizing->capacity <= old && resizing->preallocation != CST_PREALLOC_OFF)
        return cst_fail(
            error, CST_ERROR_USAGE, "%s",
            _("the image does not grow, so --preallocation has no effect; leave it out"));
    return TRUE;
}

static gboolean cmd_image_resize(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const CstChainFiles files = cli_image_files(ctl);
    g_autoptr(CstChain) chain = NULL;
    Resizing resizing = {0};
    g_autofree char *size = NULL;
    const char *path = NULL;

    if (!cli_args_string(args, "file", &path, error))
        return FALSE;
    chain = resizing.chain = cli_image_open_changing(ctl, args, &files, error);
    if (!chain ||
        !resize_read_arguments(args, cst_image_capacity(cst_chain_image(chain)), &resizing, error))
        return FALSE;
    size = cli_image_size_text(ctl, resizing.capacity);
    cli_plan(ctl, _("Would resize image %s to %s"), path, size);
    if (resizing.capacity < cst_image_capacity(cst_chain_image(chain)) &&
        !cli_confirm(ctl, error, _("Discard the end of image %s?"), path))
        return FALSE;
    if (!cli_run_task(ctl, _("Resizing"), run_resizing, &resizing, error))
        return cli_failed(ctl, _("Failed to resize image %s"), path);
    cli_done(ctl, "image", path, _("Image %s resized to %s"), path, size);
    return TRUE;
}

static const CliOption resize_options[] = {
    IMAGE_FILE,
    CLI_REQUIRED("size", N_("new capacity, as 10G; +1G and -1G are relative")),
    SOURCE_FORMAT,
    CLI_NAMED("preallocation", N_("off, metadata, falloc or full: allocation of the added space")),
    CLI_SWITCH("shrink", N_("discard the end of the image")),
    FOLLOW,
    DATA_FILE,
    {0},
};

const CliCommand cli_image_resize_command = {
    .name = "image-resize",
    .summary = N_("change the capacity of an image"),
    .description = N_("Added space reads as zeroes. Shrinking an image needs --shrink, and a "
                      "confirmation or --yes."),
    .options = resize_options,
    .handler = cmd_image_resize,
    .flags = OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};
