/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rebase: changes the backing file of an image, by image-rebase's code. */
#include <string.h>

#include <image/path.h>

#include "commands.h"
#include "commands/image/image.h"
#include "message.h"
#include "run.h"

/* Checks the new backing file. */
static gboolean check_new_backing(const CliQemuLine *line, const char *image, const char *backing)
{
    const char *format = cli_qemu_value(line, 'F');
    const CstImageFormat *found = NULL;
    g_auto(CliQemuFile) file = {.name = backing};
    g_autofree char *problem = NULL;

    file.path = cst_path_named(image, backing);
    file.format = g_strdup(format);
    problem = file.path
                  ? cli_qemu_file_problem(&file, CLI_QEMU_BACKING | CLI_QEMU_SHARE, &found)
                  : g_strdup_printf("Unknown protocol '%.*s'", (int)strcspn(backing, ":"), backing);
    return !problem || cli_qemu_error("Could not open new backing file '%s': %s", backing, problem);
}

static gboolean check_arguments(const CliQemuLine *line)
{
    const char *format = cli_qemu_value(line, 'F');

    if (line->count != 1)
        return cli_qemu_usage("Expecting one image file name");
    if (!cli_qemu_has(line, 'u') && !cli_qemu_has(line, 'b'))
        return cli_qemu_usage("Must specify backing file (-b) or use unsafe mode (-u)");
    return !format || cst_image_format_find(format, NULL) ||
           cli_qemu_error("Invalid format name: '%s'", format);
}

static int rebase_image(const CliQemuLine *line, const CliQemuFile *file)
{
    const char *backing = cli_qemu_value(line, 'b'), *format = cli_qemu_value(line, 'F');
    gboolean unsafe = cli_qemu_has(line, 'u');
    g_autoptr(GError) why = NULL;
    g_auto(CliQemuRun) run = {0};

    backing = backing ? backing : "";
    if (*backing && !unsafe && !check_new_backing(line, file->path, backing))
        return 1;
    if (*backing && !format)
        return !cli_qemu_error("Could not change the backing file to '%s': backing format must be "
                               "specified",
                               backing);
    cli_qemu_run_init(&run, &cli_image_rebase_command, line);
    cli_qemu_run_set_file(&run, "file", "format", file);
    cli_qemu_run_set(&run, "backing", backing);
    cli_qemu_run_set_value(&run, "backing-format", format);
    if (unsafe)
        cli_qemu_run_set(&run, "unsafe", NULL);
    if (cli_qemu_run(&run, &why))
        return 0;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return !cli_qemu_error("Could not change the backing file to '%s': Operation not supported",
                               backing);
    return !cli_qemu_fail(NULL, why);
}

static int run_rebase(const CliQemuLine *line)
{
    unsigned flags = CLI_QEMU_WRITE | (cli_qemu_has(line, 'u') ? 0 : CLI_QEMU_BACKING);
    g_auto(CliQemuFile) file = {0};

    if (!check_arguments(line) ||
        !cli_qemu_file_parse(line->words[0], cli_qemu_value(line, 'f'),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
        !cli_qemu_file_check(&file, flags, NULL))
        return 1;
    return rebase_image(line, &file);
}

static const struct option rebase_names[] = {
    QEMU_NAME_HELP, QEMU_NAME_OBJECT, QEMU_NAME_IMAGE_OPTS, QEMU_NAME_FORCE_SHARE, {0},
};

const CliQemuCommand cli_qemu_rebase = {
    .name = "rebase",
    .letters = ":hf:F:b:upt:T:qU",
    .names = rebase_names,
    .usage = "[--image-opts] [-U] [-q] [-f FORMAT] [-t CACHE] [-T CACHE] [-p] [-u] "
             "-b BACKING_FILE [-F BACKING_FORMAT] FILE",
    .run = run_rebase,
};
