/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-check: verifies the metadata of an image, and repairs it with --repair. Only a repair opens
 * the image for writing. Findings do not fail the command, but set a separate exit status
 * (check_report.c). A program that writes to a part of the image causes a warning, or refuses the
 * repair. The data file of a qcow2 image is opened only for this question, and only if it is next
 * to the image or --data-file names it.
 */
#include "image.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <model/image_report.h>

#include "commands/check_report.h"
#include "options.h"
#include "output/progress.h"
#include "qemu_json.h"

/** A check, or a repair and the check after it. */
typedef struct {
    CliCtl *ctl;
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
    CliImageParts parts = {check->ctl, check->blob};
    const CstImageFiles files = cli_image_own_parts(&parts);

    return cst_image_check_list(check->blob, check->format, check->flags, &files, check->findings,
                                &check->result, task, error);
}

/*
 * Open the data file of a qcow2 image, which warns of a program that writes to it. For a repair it
 * is opened for writing, so that it is claimed until *ret_data is closed; BUSY if a program writes
 * to it. *ret_data is NULL if the image has no data file, or if it may not or cannot be opened.
 */
static gboolean check_open_data(const Check *check, CstBlob **ret_data, GError **error)
{
    const gboolean named = cli_args_has(check->ctl->current, "data-file");
    CliImageParts parts = {check->ctl, check->blob};
    const CstImageFiles beside = cli_image_own_parts(&parts);
    g_auto(CstImageInfo) info = {0};
    g_autoptr(GError) why = NULL;

    *ret_data = NULL;
    if (!cst_image_inspect(check->blob, check->format, &info, error))
        return FALSE;
    if (!info.compat || !info.data_file || (!named && strchr(info.data_file, '/')))
        return TRUE;
    *ret_data = named ? cli_image_open_data(check->blob, info.data_file, check->flags != 0,
                                            check->ctl, &why)
                      : beside.open(info.data_file, check->flags != 0, beside.data, &why);
    if (*ret_data || (!named && cst_error_code(why) != CST_ERROR_BUSY))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean cli_image_check_file(CliCtl *ctl, const CliArgs *args, unsigned flags,
                              CstFindings *findings, const CstImageFormat **ret_format,
                              CstImageCheck *ret_result, GError **error)
{
    Check check = {.ctl = ctl, .flags = flags, .findings = findings};
    const char *path = NULL;
    g_autoptr(CstBlob) blob = NULL, data = NULL;

    if (!cli_args_string(args, "file", &path, error))
        return FALSE;
    check.blob = blob = cli_image_open(ctl, args, path, "format", flags != 0, &check.format, error);
    if (!blob || !check_open_data(&check, &data, error) ||
        !cli_run_task(ctl, _("Checking"), run_image_check, &check, error))
        return FALSE;
    *ret_format = check.format;
    *ret_result = check.result;
    return TRUE;
}

static void print_image_check(CliCtl *ctl, const char *path, const CstImageFormat *format,
                              const CstImageCheck *result, const CstFindings *findings)
{
    const CliCheckRow rows[] = CLI_CHECK_ROWS(result);
    g_auto(CliSheet) sheet = {0};

    cli_sheet_begin(&sheet, ctl);
    cli_check_add(&sheet, path, cst_image_format_name(format), rows, G_N_ELEMENTS(rows), findings,
                  NULL);
    cli_sheet_end(&sheet);
}

static gboolean cmd_image_check(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstFindings) findings = cst_findings_new();
    const CstImageFormat *format = NULL;
    const char *path = NULL;
    CstImageCheck result;
    unsigned repair = 0, flags;
    gboolean qemu_json;

    if (!cli_args_string(args, "file", &path, error) || !cli_check_repair(args, &repair, error) ||
        !cli_image_output(ctl, args, &qemu_json, error))
        return FALSE;
    flags = repair & CST_REPAIR_ALL ? CST_CHECK_REPAIR_LEAKS | CST_CHECK_REPAIR_ALL
            : repair                ? CST_CHECK_REPAIR_LEAKS
                                    : 0;
    if (flags)
        cli_plan(ctl, _("Would check and repair image %s"), path);
    if (!cli_image_check_file(ctl, args, flags, findings, &format, &result, error))
        return FALSE;
    if (qemu_json)
        cli_qemu_json_check(ctl->out, path, format, &result);
    else
        print_image_check(ctl, path, format, &result, findings);
    return cli_check_judge(path, result.errors, result.leaks, error);
}

static const CliOption check_options[] = {
    IMAGE_FILE,
    SOURCE_FORMAT,
    {.name = "repair",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'r',
     .help = N_("leaks: give lost space back; all: repair errors, too")},
    DATA_FILE,
    OUTPUT,
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
