/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* measure: computes the size of a new image, empty or a copy of another image. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "commands/image/image.h"
#include "commands/image/qemu_json.h"
#include "creation.h"
#include "formats.h"
#include "message.h"
#include "run.h"

static void print_measure(const CstImageMeasure *measure)
{
    printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", measure->required,
           measure->fully_allocated);
    if (measure->has_bitmaps)
        printf("bitmaps size: %" PRIu64 "\n", measure->bitmaps);
}

/* Sets the subject: a size, or an image with the content of a snapshot. */
static gboolean set_subject(const CliQemuLine *line, CliQemuRun *run, CliQemuFile *file)
{
    const char *size = cli_qemu_value(line, QEMU_SIZE);
    guint64 bytes = 0;
    g_autofree char *snapshot = NULL;

    if (size && !cli_qemu_size(line, QEMU_SIZE, "image size", 0, G_MAXINT64, &bytes))
        return FALSE;
    if (line->count > 1)
        return cli_qemu_error("At most one filename argument is allowed.");
    if (line->count == 0 &&
        (cli_qemu_has(line, QEMU_IMAGE_OPTS) || cli_qemu_has(line, 'f') || cli_qemu_has(line, 'l')))
        return cli_qemu_error("--image-opts, -f, and -l require a filename argument.");
    if (line->count == 0 && !size)
        return cli_qemu_error("Either --size N or one filename must be specified.");
    if (line->count == 1 && size)
        return cli_qemu_error("--size N cannot be used together with a filename.");
    if (size) {
        cli_qemu_run_set_number(run, "size", bytes);
        return TRUE;
    }
    if (!cli_qemu_snapshot_value(cli_qemu_value(line, 'l'), &snapshot) ||
        !cli_qemu_file_parse(line->words[0], cli_qemu_value(line, 'f'),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), file) ||
        !cli_qemu_file_check(
            file, CLI_QEMU_BACKING | (cli_qemu_has(line, 'U') ? CLI_QEMU_SHARE : 0), NULL))
        return FALSE;
    cli_qemu_run_set_value(run, "snapshot", snapshot);
    cli_qemu_run_set_file(run, "file", "source-format", file);
    return TRUE;
}

static int run_measure(const CliQemuLine *line)
{
    const char *output = cli_qemu_value(line, 'O');
    g_auto(CliQemuCreation) creation = {0};
    g_auto(CliQemuFile) file = {0};
    g_auto(CliQemuRun) run = {0};
    g_autofree char *options = NULL;
    g_autoptr(GError) why = NULL;
    CstImageMeasure measure;
    const CstImageFormat *format;
    gboolean json, help;

    cli_qemu_run_init(&run, &cli_image_measure_command, line);
    if (!cli_qemu_list(line, 'o', &options) || !cli_qemu_output_is_json(line, &json) ||
        !set_subject(line, &run, &file))
        return 1;
    output = output ? output : "raw";
    format = cst_image_format_find(output, NULL);
    if (!format)
        return !cli_qemu_error("Unknown file format '%s'", output);
    if (!(cli_qemu_traits(format) & CLI_QEMU_MEASURES))
        return !cli_qemu_error("Block driver '%s' does not support size measurement", output);
    if (!cli_qemu_creation_parse(&creation, NULL, output, options))
        return 1;
    cli_qemu_run_set(&run, "target-format", output);
    cli_qemu_creation_apply(&creation, &run);
    if (!cli_image_measure_file(&run.ctl, run.args, "file", &measure, &help, &why))
        return !cli_qemu_fail(NULL, why);
    if (help)
        return 0;
    measure.required = cli_qemu_disk_size(format, measure.required);
    measure.fully_allocated = cli_qemu_disk_size(format, measure.fully_allocated);
    if (json)
        cli_qemu_json_measure(stdout, &measure);
    else
        print_measure(&measure);
    return 0;
}

static const struct option measure_names[] = {
    QEMU_NAME_HELP,
    QEMU_NAME_IMAGE_OPTS,
    QEMU_NAME_OBJECT,
    QEMU_NAME_OUTPUT,
    {"size", required_argument, NULL, QEMU_SIZE},
    QEMU_NAME_FORCE_SHARE,
    {0},
};

const CliQemuCommand cli_qemu_measure = {
    .name = "measure",
    .letters = "hf:l:o:O:U",
    .names = measure_names,
    .usage =
        "[--output=human|json] [-O FORMAT] [-o OPTIONS] [--size N | [--image-opts] [-f FORMAT] "
        "[-l SNAPSHOT] FILE]",
    .run = run_measure,
};
