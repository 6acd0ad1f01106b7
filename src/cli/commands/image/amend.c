/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-amend: changes options of an existing image, in place. A smaller size needs --shrink and
 * confirmation, as in image-resize.
 */
#include "image.h"

#include <base/error.h>
#include <base/i18n.h>
#include <image/amend.h>

#include "options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"

/** A change of an image's options. */
typedef struct {
    CstChain *chain;
    CstImageOptions options;
    CstImageAmend amend;
} Amending;

static void amending_clear(Amending *amending)
{
    cst_chain_free(amending->chain);
    cst_image_options_clear(&amending->options);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Amending, amending_clear)

static gboolean run_amending(CstTask *task, gpointer data, GError **error)
{
    Amending *amending = data;

    return cst_image_amend(cst_chain_image(amending->chain), &amending->amend, task, error);
}

/** Parse the options. *ret_help is TRUE if -o requested help, which depends only on the format. */
static gboolean read_amend_options(CliCtl *ctl, const CliArgs *args, const CstImageFormat *format,
                                   Amending *amending, gboolean *ret_help, GError **error)
{
    const char *text = NULL;

    *ret_help = FALSE;
    if (!cli_args_string(args, "options", &text, error))
        return FALSE;
    if (!cst_image_format_can_amend(format))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("options of an image of format '%s' can't be changed"),
                        cst_image_format_name(format));
    if (cli_image_asks_for_help(text)) {
        g_autoptr(GPtrArray) options = cst_image_amend_options_of(format);

        cli_image_print_options(ctl, format, options);
        *ret_help = TRUE;
        return TRUE;
    }
    if (!cst_image_amend_parse(&amending->options, format, text, error))
        return FALSE;
    cst_image_amend_read(&amending->options, &amending->amend);
    return TRUE;
}

/** Confirm a smaller size, because the data at the end is lost, as in image-resize. */
static gboolean may_shrink(CliCtl *ctl, const CliArgs *args, const Amending *amending,
                           const char *path, GError **error)
{
    const CstImageAmend *amend = &amending->amend;

    if (!amend->has_size || amend->size >= cst_image_capacity(cst_chain_image(amending->chain)))
        return TRUE;
    if (!cli_args_has(args, "shrink"))
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("shrinking discards the end of the image; say --shrink"));
    return cli_confirm(ctl, error, _("Discard the end of image %s?"), path);
}

static gboolean cmd_amend(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const CstChainFiles files = cli_image_files(ctl);
    const CstImageFormat *format = NULL;
    g_auto(Amending) amending = {0};
    g_autoptr(CstBlob) blob = NULL;
    const char *path = NULL;
    gboolean help;

    if (!cli_args_string(args, "file", &path, error))
        return FALSE;
    blob = cli_image_changing(ctl, args, &format, error);
    if (!blob || !read_amend_options(ctl, args, format, &amending, &help, error))
        return FALSE;
    if (help)
        return TRUE;
    amending.chain = cst_chain_open(blob, format, CST_IMAGE_WRITE, &files, error);
    if (!amending.chain)
        return FALSE;
    cli_plan(ctl, _("Would amend image %s"), path);
    if (!may_shrink(ctl, args, &amending, path, error))
        return FALSE;
    return cli_outcome(ctl, cli_run_task(ctl, _("Amending"), run_amending, &amending, error),
                       "image", path, _("Image %s amended"), _("Failed to amend image %s"), path);
}

static const CliOption amend_options[] = {
    IMAGE_FILE,
    SOURCE_FORMAT,
    {.name = "options",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_LIST | CLI_OPT_REQUIRED,
     .letter = 'o',
     .help = N_("name=value,... that the image shall have; -o help lists them")},
    CLI_SWITCH("shrink", N_("discard the end of the image")),
    FOLLOW,
    DATA_FILE,
    {0},
};

const CliCommand cli_image_amend_command = {
    .name = "image-amend",
    .summary = N_("change options that an image was made with"),
    .description = N_(
        "For qcow2 images: compat, lazy_refcounts, refcount_bits, size, data_file and "
        "data_file_raw=off. Features that compat=0.10 lacks are converted, for example zero "
        "clusters, or refused. A power cut leaves the old image or the new one; a size is changed "
        "in a separate step. A smaller size needs --shrink, and a confirmation or --yes."),
    .options = amend_options,
    .handler = cmd_amend,
    .flags = OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};
