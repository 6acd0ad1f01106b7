/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-measure: computes the size of a new image for given content, or for an empty one. Writes no
 * file. Also implements vol-measure of an empty image.
 */
#include "image.h"

#include <base/error.h>
#include <base/i18n.h>

#include "commands/view_report.h"
#include "options.h"
#include "output/progress.h"
#include "qemu_json.h"

typedef struct {
    const CstImageFormat *format;
    CstImageOptions options;
    CstChain *source; /**< NULL: an empty image */
    CstImageMeasure measure;
} Measuring;

static void measuring_clear(Measuring *measuring)
{
    cst_chain_free(measuring->source);
    cst_image_options_clear(&measuring->options);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Measuring, measuring_clear)

static gboolean run_measuring(CstTask *task, gpointer data, GError **error)
{
    Measuring *measuring = data;
    CstBlob *source = measuring->source ? cst_chain_guest(measuring->source) : NULL;

    return cst_image_measure(measuring->format, &measuring->options.create, source,
                             &measuring->measure, task, error);
}

static gboolean read_subject(CliCtl *ctl, const CliArgs *args, const char *subject,
                             Measuring *measuring, GError **error)
{
    const char *snapshot = NULL;
    gboolean sized = cli_args_has(args, "size") || measuring->options.has_size;

    if (cli_args_has(args, "size") && measuring->options.has_size)
        return cst_fail(
            error, CST_ERROR_USAGE, "%s",
            _("the size is given twice, also as an option of the format; leave one out"));
    if (sized == cli_args_has(args, subject))
        return cst_fail(error, CST_ERROR_USAGE, _("give either <%s> or --size"), subject);
    if (!cli_args_string(args, "snapshot", &snapshot, error))
        return FALSE;
    if (sized && snapshot)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("--snapshot names one inside of a <%s>; give that instead of a size"),
                        subject);
    if (sized)
        return cli_args_size(args, "size", 1, &measuring->options.create.capacity, error);
    measuring->source = cli_image_source_at(ctl, args, subject, "source-format", snapshot, error);
    return measuring->source != NULL;
}

gboolean cli_image_measure_file(CliCtl *ctl, const CliArgs *args, const char *subject,
                                CstImageMeasure *ret_measure, gboolean *ret_help, GError **error)
{
    g_auto(Measuring) measuring = {0};

    if (!cli_image_format_arg(args, "target-format", &measuring.format, error) ||
        !cli_image_options(ctl, args, measuring.format, &measuring.options, ret_help, error))
        return FALSE;
    if (*ret_help)
        return TRUE;
    if (!read_subject(ctl, args, subject, &measuring, error) ||
        !cli_run_task(ctl, _("Measuring"), run_measuring, &measuring, error))
        return FALSE;
    *ret_measure = measuring.measure;
    return TRUE;
}

gboolean cli_image_measure(CliCtl *ctl, const CliArgs *args, const char *subject, GError **error)
{
    CstImageMeasure measure;
    CstMeasureReport report;
    gboolean help;

    if (!cli_image_measure_file(ctl, args, subject, &measure, &help, error))
        return FALSE;
    if (help)
        return TRUE;
    report = (CstMeasureReport){measure.required, measure.fully_allocated, measure.has_bitmaps,
                                measure.bitmaps};
    cli_measure_print(ctl, &report);
    return TRUE;
}

static gboolean cmd_image_measure(CliCtl *ctl, const CliArgs *args, GError **error)
{
    CstImageMeasure measure;
    gboolean qemu_json, help;

    if (!cli_image_output(ctl, args, &qemu_json, error))
        return FALSE;
    if (!qemu_json)
        return cli_image_measure(ctl, args, "file", error);
    if (!cli_image_measure_file(ctl, args, "file", &measure, &help, error))
        return FALSE;
    if (!help)
        cli_qemu_json_measure(ctl->out, &measure);
    return TRUE;
}

static const CliOption measure_options[] = {
    CLI_STRING("file", N_("image to measure the copy of")),
    TARGET_FORMAT("target-format", 'O'),
    CLI_IMAGE_OPTIONS,
    FORMAT("source-format", 'f', N_("format of the source; else it is looked for")),
    CLI_NAMED("size", N_("capacity of an empty image, instead of a file")),
    FROM_SNAPSHOT,
    FOLLOW,
    DATA_FILE,
    OUTPUT,
    FORCE_SHARE,
    {0},
};

const CliCommand cli_image_measure_command = {
    .name = "image-measure",
    .summary = N_("tell how large an image file will be"),
    .description = N_("For an empty image of --size, or a copy of <file> in another format."),
    .options = measure_options,
    .handler = cmd_image_measure,
    .flags = OURS,
};
