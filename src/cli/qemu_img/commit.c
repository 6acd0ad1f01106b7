/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* commit: writes the data of an image into a backing file, by image-commit's code. */
#include <stdio.h>

#include "commands.h"
#include "commands/image/image.h"
#include "message.h"
#include "run.h"

static int commit_image(const CliQemuLine *line, const CliQemuFile *file)
{
    const char *base = cli_qemu_value(line, 'b');
    g_autoptr(GError) why = NULL;
    g_auto(CliQemuRun) run = {0};

    cli_qemu_run_init(&run, &cli_image_commit_command, line);
    cli_qemu_run_set_file(&run, "file", "format", file);
    cli_qemu_run_set_value(&run, "base", base);
    cli_qemu_run_set_value(&run, "rate-limit", cli_qemu_value(line, 'r'));
    if (cli_qemu_has(line, 'd'))
        cli_qemu_run_set(&run, "keep", NULL);
    if (!cli_qemu_run(&run, &why)) {
        if (base && g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
            return !cli_qemu_error("Did not find '%s' in the backing chain of '%s'", base,
                                   file->name);
        return !cli_qemu_fail(NULL, why);
    }
    if (!cli_qemu_has(line, 'q'))
        printf("Image committed.\n");
    return 0;
}

static int run_commit(const CliQemuLine *line)
{
    const CstImageFormat *format = NULL;
    g_auto(CliQemuFile) file = {0};
    g_auto(CstImageInfo) info = {0};
    g_autoptr(CstBlob) blob = NULL;
    guint64 rate;

    if (!cli_qemu_size(line, 'r', "rate limit", 0, G_MAXINT64, &rate))
        return 1;
    if (line->count != 1)
        return !cli_qemu_usage("Expecting one image file name");
    if (!cli_qemu_file_parse(line->words[0], cli_qemu_value(line, 'f'),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
        !cli_qemu_file_check(&file, CLI_QEMU_WRITE | CLI_QEMU_BACKING, &format))
        return 1;
    blob = cst_blob_file_open(file.path, FALSE, NULL);
    if (blob && cst_image_inspect(blob, format, &info, NULL) && !info.backing)
        return !cli_qemu_error("Image does not have a backing file");
    g_clear_pointer(&blob, cst_blob_unref);
    return commit_image(line, &file);
}

static const struct option commit_names[] = {
    QEMU_NAME_HELP, QEMU_NAME_OBJECT, QEMU_NAME_IMAGE_OPTS, {0}};

const CliQemuCommand cli_qemu_commit = {
    .name = "commit",
    .letters = ":f:ht:b:dpqr:",
    .names = commit_names,
    .usage = "[--image-opts] [-q] [-f FORMAT] [-t CACHE] [-b BASE] [-r RATE] [-d] [-p] FILE",
    .run = run_commit,
};
