/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd_image.h"

#include <base/error.h>
#include <base/i18n.h>
#include <image/measure.h>

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

static gboolean read_subject(CliCtl *ctl, const CliArgs *args, Measuring *measuring, GError **error)
{
    gboolean sized = cli_args_has(args, "size") || measuring->options.has_size;

    if (sized == cli_args_has(args, "file"))
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("give either <file> or --size"));
    if (sized)
        return cli_args_size(args, "size", 1, &measuring->options.create.capacity, error);
    measuring->source = cli_image_source(ctl, args, "file", "source-format", error);
    return measuring->source != NULL;
}

static void print_measure(CliCtl *ctl, const CstImageMeasure *measure)
{
    JsonBuilder *json;

    cli_print(ctl, "%s: %" G_GUINT64_FORMAT "\n", _("required size"), measure->required);
    cli_print(ctl, "%s: %" G_GUINT64_FORMAT "\n", _("fully allocated size"),
              measure->fully_allocated);
    if (!ctl->settings.json)
        return;
    json = cli_json_begin();
    cli_json_add_size(json, "required", measure->required);
    cli_json_add_size(json, "fully-allocated", measure->fully_allocated);
    cli_json_end(ctl->out, json);
}

gboolean cli_cmd_image_measure(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Measuring) measuring = {0};
    gboolean help;

    if (!cli_image_format_arg(args, "target-format", &measuring.format, error) ||
        !cli_image_options(ctl, args, measuring.format, &measuring.options, &help, error))
        return FALSE;
    if (help)
        return TRUE;
    if (!read_subject(ctl, args, &measuring, error) ||
        !cli_run_task(ctl, _("Measuring"), run_measuring, &measuring, error))
        return FALSE;
    print_measure(ctl, &measuring.measure);
    return TRUE;
}
