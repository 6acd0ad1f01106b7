/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-check: verifies the metadata of an image, and repairs it with --repair. Only a repair opens
 * the image for writing. Findings do not fail the command, but set a separate exit status
 * (check_report.c).
 */
#include "image.h"

#include <base/error.h>
#include <base/i18n.h>
#include <model/image_report.h>

#include "commands/check_report.h"
#include "options.h"
#include "output/progress.h"

/** A check, or a repair and the check after it. */
typedef struct {
    CstBlob *blob;
    const CstImageFormat *format;
    unsigned flags;        /**< CstCheckFlags */
    CstFindings *findings; /**< borrowed; remaining findings */
    CstImageCheck result;  /**< remaining and repaired errors */
} Check;

/* The extent files of a multi-file image are in the same directory. */
static gboolean run_image_check(CstTask *task, gpointer data, GError **error)
{
    Check *check = data;
    const CstImageFiles files = cst_path_parts(check->blob);

    return cst_image_check_list(check->blob, check->format, check->flags, &files, check->findings,
                                &check->result, task, error);
}

static void print_image_check(CliCtl *ctl, const Check *check)
{
    const CliCheckRow rows[] = CLI_CHECK_ROWS(&check->result);
    g_auto(CliSheet) sheet = {0};

    cli_sheet_begin(&sheet, ctl);
    cli_check_add(&sheet, check->blob->name, cst_image_format_name(check->format), rows,
                  G_N_ELEMENTS(rows), check->findings, NULL);
    cli_sheet_end(&sheet);
}

static gboolean cmd_image_check(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstBlob) blob = NULL;
    const char *path = NULL;
    g_autoptr(CstFindings) findings = cst_findings_new();
    Check check = {.findings = findings};
    unsigned repair = 0;

    if (!cli_args_string(args, "file", &path, error) || !cli_check_repair(args, &repair, error))
        return FALSE;
    check.flags = repair & CST_REPAIR_ALL ? CST_CHECK_REPAIR_LEAKS | CST_CHECK_REPAIR_ALL
                  : repair                ? CST_CHECK_REPAIR_LEAKS
                                          : 0;
    if (check.flags)
        cli_plan(ctl, _("Would check and repair image %s"), path);
    check.blob = blob =
        cli_image_open(ctl, args, path, "format", check.flags != 0, &check.format, error);
    if (!blob || !cli_run_task(ctl, _("Checking"), run_image_check, &check, error))
        return FALSE;
    print_image_check(ctl, &check);
    return cli_check_judge(blob->name, check.result.errors, check.result.leaks, error);
}

static const CliOption check_options[] = {
    IMAGE_FILE,
    SOURCE_FORMAT,
    {.name = "repair",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'r',
     .help = N_("leaks: give lost space back; all: repair errors, too")},
    FORCE_SHARE,
    {0},
};

const CliCommand cli_image_check_command = {
    .name = "image-check",
    .summary = N_("verify the metadata of an image"),
    .description =
        N_("The exit status is 0 when the image is sound, 7 when errors or leaked space were found "
           "(and are left after a repair), 1 when it can't be checked."),
    .options = check_options,
    .handler = cmd_image_check,
    .flags = OURS | CLI_CMD_MUTATES,
};
