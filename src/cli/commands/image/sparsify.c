/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-sparsify: deallocates zeroes of an image and unused parts of its file, in place. The
 * guest-visible content does not change. The command can be repeated.
 */
#include "image.h"

#include <base/error.h>
#include <base/i18n.h>
#include <image/sparsify.h>

#include "options.h"
#include "output/progress.h"
#include "output/sheet.h"
#include "output/text.h"

typedef struct {
    CliCtl *ctl;
    CstBlob *blob;
    const CstImageFormat *format;
    uint64_t given_back;
} Sparsify;

static gboolean run_image_sparsify(CstTask *task, gpointer data, GError **error)
{
    Sparsify *sparsify = data;
    CliImageParts parts = {.ctl = sparsify->ctl, .blob = sparsify->blob};
    CstImageFiles files;

    return cli_image_parts(&parts, sparsify->format, &files, error) &&
           cst_image_sparsify(sparsify->blob, sparsify->format, &files, &sparsify->given_back, task,
                              error);
}

static void report_image_sparsified(CliCtl *ctl, const char *path, uint64_t bytes)
{
    g_autofree char *size = cli_image_size_text(ctl, bytes);
    const CliFact facts[] = {
        cli_fact_text("command", NULL, ctl->current->command->name),
        cli_fact_text("image", NULL, path),
        cli_fact_number("given-back", NULL, TRUE, bytes),
    };

    cli_sheet_print(ctl, facts, G_N_ELEMENTS(facts));
    cli_extra(ctl, _("Image %s sparsified, %s given back\n"), path, size);
}

static gboolean cmd_image_sparsify(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstBlob) blob = NULL;
    const char *path = NULL;
    Sparsify sparsify = {.ctl = ctl};

    if (!cli_args_string(args, "file", &path, error))
        return FALSE;
    sparsify.blob = blob = cli_image_changing(ctl, args, &sparsify.format, error);
    if (!blob)
        return FALSE;
    cli_plan(ctl, _("Would sparsify image %s"), path);
    if (!cli_run_task(ctl, _("Sparsifying"), run_image_sparsify, &sparsify, error))
        return cli_failed(ctl, _("Failed to sparsify image %s"), path);
    report_image_sparsified(ctl, path, sparsify.given_back);
    return TRUE;
}

static const CliOption sparsify_options[] = {
    IMAGE_FILE,
    SOURCE_FORMAT,
    DATA_FILE,
    {0},
};

const CliCommand cli_image_sparsify_command = {
    .name = "image-sparsify",
    .summary = N_("give the space of zeroes back to the file system"),
    .description = N_("Turn zeroes in the image and unused space of its file into holes, in place. "
                      "The backing file is not opened."),
    .options = sparsify_options,
    .handler = cmd_image_sparsify,
    .flags = OURS | CLI_CMD_MUTATES,
};
