/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check: verifies and repairs the metadata of an image. The exit status is 0 for a sound image, 1
 * if the check was impossible, 2 for errors, 3 for leaks, and 63 if the format has no check.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <base/findings.h>

#include "commands.h"
#include "commands/image/image.h"
#include "commands/image/qemu_json.h"
#include "formats.h"
#include "message.h"
#include "run.h"

enum { STATUS_ERRORS = 2, STATUS_LEAKS = 3, STATUS_NO_CHECK = 63 };

/** A check, or a repair with the check after it. */
typedef struct {
    const char *name;
    const CstImageFormat *format;
    CstImageCheck result;
} Checked;

static gboolean read_repair(const CliQemuLine *line, unsigned *ret_flags)
{
    const char *repair = cli_qemu_value(line, 'r');

    *ret_flags = 0;
    if (g_strcmp0(repair, "leaks") == 0)
        *ret_flags = CST_CHECK_REPAIR_LEAKS;
    else if (g_strcmp0(repair, "all") == 0)
        *ret_flags = CST_CHECK_REPAIR_LEAKS | CST_CHECK_REPAIR_ALL;
    else if (repair)
        return cli_qemu_usage("--repair/-r expects 'leaks' or 'all', not '%s'", repair);
    return TRUE;
}

static void print_repaired(const CstImageCheck *result)
{
    if (!result->errors_fixed && !result->leaks_fixed)
        return;
    printf("The following inconsistencies were found and repaired:\n\n"
           "    %" PRIu64 " leaked clusters\n    %" PRIu64 " corruptions\n\n"
           "Double checking the fixed image now...\n",
           result->leaks_fixed, result->errors_fixed);
}

static void print_text(const CstImageCheck *result)
{
    if (!result->errors && !result->leaks)
        printf("No errors were found on the image.\n");
    if (result->errors)
        printf("\n%" PRIu64 " errors were found on the image.\nData may be corrupted, or further "
               "writes to the image may corrupt it.\n",
               result->errors);
    if (result->leaks)
        printf("\n%" PRIu64 " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               result->leaks);
    if (result->total_clusters && result->allocated_clusters)
        printf("%" PRIu64 "/%" PRIu64
               " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed "
               "clusters\n",
               result->allocated_clusters, result->total_clusters,
               (double)result->allocated_clusters * 100.0 / (double)result->total_clusters,
               (double)result->fragmented_clusters * 100.0 / (double)result->allocated_clusters,
               (double)result->compressed_clusters * 100.0 / (double)result->allocated_clusters);
    if (result->image_end)
        printf("Image end offset: %" PRIu64 "\n", result->image_end);
}

/* Findings go to stderr, as in qemu-img, whose texts for them are different. */
static void print_findings(const CstFindings *findings)
{
    for (guint i = 0; i < cst_findings_length(findings); i++) {
        const CstFinding *finding = cst_findings_get(findings, i);
        g_autofree char *text = g_strdup_printf(
            "%s %s", finding->kind == CST_FINDING_LEAK ? "Leaked" : "ERROR", finding->text);

        cli_qemu_hint(text);
    }
}

/* Drops the numbers that qemu-img's check of the format does not have. */
static void hide_numbers(const CstImageFormat *format, CstImageCheck *result)
{
    unsigned traits = cli_qemu_traits(format);

    if (!(traits & CLI_QEMU_CHECK_END))
        result->image_end = 0;
    if (!(traits & CLI_QEMU_CHECK_COUNTS))
        result->total_clusters = result->allocated_clusters = result->fragmented_clusters =
            result->compressed_clusters = 0;
}

static int check_image(CliQemuRun *run, unsigned repair, gboolean quiet, gboolean json,
                       Checked *checked)
{
    g_autoptr(CstFindings) findings = cst_findings_new();
    g_autoptr(GError) why = NULL;

    if (!(cli_qemu_traits(checked->format) & CLI_QEMU_CHECKS)) {
        cli_qemu_error("This image format does not support checks");
        return STATUS_NO_CHECK;
    }
    if (!cli_image_check_file(&run->ctl, run->args, repair, findings, &checked->format,
                              &checked->result, &why)) {
        cli_qemu_fail("Check failed", why);
        return 1;
    }
    hide_numbers(checked->format, &checked->result);
    if (!quiet) {
        print_findings(findings);
        if (json) {
            cli_qemu_json_check(stdout, checked->name, checked->format, &checked->result);
        } else {
            print_repaired(&checked->result);
            print_text(&checked->result);
        }
    }
    return checked->result.errors ? STATUS_ERRORS : checked->result.leaks ? STATUS_LEAKS : 0;
}

static int run_check(const CliQemuLine *line)
{
    gboolean json, quiet = cli_qemu_has(line, 'q');
    g_auto(CliQemuFile) file = {0};
    g_auto(CliQemuRun) run = {0};
    Checked checked = {0};
    unsigned repair = 0;

    if (!read_repair(line, &repair))
        return 1;
    if (line->count != 1)
        return !cli_qemu_usage("Expecting one image file name");
    if (!cli_qemu_output_is_json(line, &json) ||
        !cli_qemu_file_parse(line->words[0], cli_qemu_value(line, 'f'),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
        !cli_qemu_file_check(&file,
                             CLI_QEMU_BACKING | CLI_QEMU_BROKEN | (repair ? CLI_QEMU_WRITE : 0) |
                                 (cli_qemu_has(line, 'U') ? CLI_QEMU_SHARE : 0),
                             &checked.format))
        return 1;
    checked.name = file.path;
    cli_qemu_run_init(&run, &cli_image_check_command, line);
    cli_qemu_run_set_file(&run, "file", "format", &file);
    return check_image(&run, repair, quiet, json, &checked);
}

static const struct option check_names[] = {
    QEMU_NAME_HELP,
    {"format", required_argument, NULL, 'f'},
    {"repair", required_argument, NULL, 'r'},
    QEMU_NAME_OUTPUT,
    QEMU_NAME_OBJECT,
    QEMU_NAME_IMAGE_OPTS,
    QEMU_NAME_FORCE_SHARE,
    {0},
};

const CliQemuCommand cli_qemu_check = {
    .name = "check",
    .letters = ":hf:r:T:qU",
    .names = check_names,
    .usage = "[--image-opts] [-q] [-f FORMAT] [--output=human|json] [-r leaks|all] [-T CACHE] [-U] "
             "FILE",
    .run = run_check,
};
