/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* amend: changes options of an existing image, by image-amend's code. */
#include <image/amend.h>

#include "commands.h"
#include "commands/image/image.h"
#include "creation.h"
#include "message.h"
#include "run.h"

static int amend_image(const CliQemuLine *line, CliQemuFile *file, const CstImageFormat *format,
                       const char *options)
{
    const char *name = cst_image_format_name(format);
    g_auto(CliQemuCreation) creation = {0};
    g_autoptr(GError) why = NULL;
    g_auto(CliQemuRun) run = {0};

    if (!cst_image_format_can_amend(format))
        return !cli_qemu_error("Format driver '%s' does not support option amendment", name);
    if (!cli_qemu_creation_parse(&creation, NULL, name, options))
        return 1;
    cli_qemu_run_init(&run, &cli_image_amend_command, line);
    cli_qemu_run_set_file(&run, "file", "format", file);
    cli_qemu_creation_apply(&creation, &run);
    cli_qemu_run_set(&run, "shrink", NULL);
    if (cli_qemu_run(&run, &why))
        return 0;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_ARGUMENT_UNSUPPORTED))
        return !cli_qemu_error("%s", why->message);
    return !cli_qemu_fail(NULL, why);
}

static int run_amend(const CliQemuLine *line)
{
    const char *name = cli_qemu_value(line, 'f');
    const CstImageFormat *format = NULL;
    g_autofree char *options = NULL;
    g_auto(CliQemuFile) file = {0};

    if (!cli_qemu_list(line, 'o', &options))
        return 1;
    if (!options)
        return !cli_qemu_usage("Must specify options (-o)");
    if (cli_qemu_wants_help(options) && name)
        return cli_qemu_amend_help(name);
    if (line->count != 1)
        return !cli_qemu_usage("Expecting one image file name");
    if (!cli_qemu_file_parse(line->words[0], name, cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
        !cli_qemu_file_check(&file, CLI_QEMU_WRITE | CLI_QEMU_BACKING, &format))
        return 1;
    if (cli_qemu_wants_help(options))
        return cli_qemu_amend_help(cst_image_format_name(format));
    return amend_image(line, &file, format, options);
}

static const struct option amend_names[] = {
    QEMU_NAME_HELP,
    QEMU_NAME_OBJECT,
    QEMU_NAME_IMAGE_OPTS,
    {"force", no_argument, NULL, QEMU_FORCE},
    {0},
};

const CliQemuCommand cli_qemu_amend = {
    .name = "amend",
    .letters = ":ho:f:t:pq",
    .names = amend_names,
    .usage = "[--image-opts] [-p] [-q] [-f FORMAT] [-t CACHE] [--force] -o OPTIONS FILE",
    .run = run_amend,
};
