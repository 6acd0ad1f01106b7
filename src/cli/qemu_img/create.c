/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create: creates an empty image, by image-create's code. The line "Formatting …" is printed when
 * the options are those of the format, before the image is created.
 */
#include <stdio.h>
#include <string.h>

#include <base/text.h>
#include <image/path.h>

#include "commands.h"
#include "commands/image/image.h"
#include "creation.h"
#include "message.h"
#include "run.h"

static gboolean fail_backing(const char *path, const char *problem)
{
    cli_qemu_error("%s: %s", path, problem);
    cli_qemu_hint("Could not open backing image.");
    return FALSE;
}

/* Sets the size in @creation to that of the image @file. */
static gboolean set_backing_size(const char *path, const CliQemuFile *file,
                                 const CstImageFormat *format, CliQemuCreation *creation)
{
    g_auto(CstImageInfo) info = {0};
    g_autoptr(GError) why = NULL;
    g_autoptr(CstBlob) blob = cst_blob_file_open(file->path, FALSE, &why);
    g_autofree char *digits = NULL;

    if (!blob || !cst_image_inspect(blob, format, &info, &why))
        return fail_backing(path, why->message);
    digits = g_strdup_printf("%" G_GUINT64_FORMAT, info.capacity);
    return cli_qemu_creation_set(creation, "size", digits);
}

/* The second line has no newline in qemu-img. */
static gboolean fail_without_format(const char *path, const CstImageFormat *found)
{
    cli_qemu_error("%s: Backing file specified without backing format", path);
    if (found)
        fprintf(stderr, "Detected format of %s.", cst_image_format_name(found));
    return FALSE;
}

/* Checks that the backing file can be used, and takes the size from it if there is no other. */
static gboolean look_at_backing(const char *path, CliQemuCreation *creation)
{
    const char *backing = cli_qemu_creation_get(creation, "backing_file");
    const char *format = cli_qemu_creation_get(creation, "backing_fmt");
    const CstImageFormat *found = NULL;
    g_auto(CliQemuFile) file = {.name = backing};
    g_autofree char *problem = NULL;

    file.path = cst_path_named(cli_qemu_path(path), backing);
    file.format = g_strdup(format);
    problem = file.path ? cli_qemu_file_problem(&file, CLI_QEMU_SHARE | CLI_QEMU_BACKING, &found)
                        : g_strdup_printf("Could not open '%s': Unknown protocol '%.*s'", backing,
                                          (int)strcspn(backing, ":"), backing);
    if (problem)
        return fail_backing(path, problem);
    if (!format)
        return fail_without_format(path, found);
    return cli_qemu_creation_get(creation, "size") ||
           set_backing_size(path, &file, found, creation);
}

static gboolean check_backing(const char *path, gboolean unsafe, CliQemuCreation *creation)
{
    const char *backing = cli_qemu_creation_get(creation, "backing_file");
    const char *format = cli_qemu_creation_get(creation, "backing_fmt");

    if (backing && !*backing)
        return cli_qemu_error("%s: Expected backing file name, got empty string", path);
    if (backing && strcmp(backing, path) == 0)
        return cli_qemu_error("%s: Error: Trying to create an image with the same filename as the "
                              "backing file",
                              path);
    if (backing && unsafe && format && !cst_image_format_find(format, NULL))
        return cli_qemu_error("%s: unrecognized backing format '%s'", path, format);
    if (backing && unsafe)
        return cli_qemu_creation_get(creation, "backing_fmt") || fail_without_format(path, NULL);
    return !backing || look_at_backing(path, creation);
}

/* Completes @creation with -b, -F and the size @size (NULL: not given). */
static gboolean complete(const CliQemuLine *line, const char *path, const char *size,
                         CliQemuCreation *creation)
{
    if (size && cli_qemu_creation_get(creation, "size"))
        return cli_qemu_error("%s: The image size must be specified only once", path);
    if (!cli_qemu_creation_set_backing(creation, cli_qemu_value(line, 'b'),
                                       cli_qemu_value(line, 'F')) ||
        (size && !cli_qemu_creation_set(creation, "size", size)) ||
        !check_backing(path, cli_qemu_has(line, 'u'), creation))
        return FALSE;
    return cli_qemu_creation_get(creation, "size") ||
           cli_qemu_error("%s: Image creation needs a size parameter", path);
}

static int create_image(const CliQemuLine *line, const char *path, CliQemuCreation *creation)
{
    g_autofree char *shown = cst_text_escape(path);
    g_auto(CliQemuRun) run = {0};
    g_autoptr(GError) why = NULL;

    if (!cli_qemu_has(line, 'q')) {
        printf("Formatting '%s', fmt=%s", shown, creation->format);
        cli_qemu_creation_print(creation);
        printf("\n");
        fflush(stdout);
    }
    if (!cli_qemu_creation_check(creation))
        return 1;
    cli_qemu_run_init(&run, &cli_image_create_command, line);
    cli_qemu_run_set(&run, "file", cli_qemu_path(path));
    cli_qemu_run_set(&run, "format", creation->format);
    if (cli_qemu_has(line, 'u'))
        cli_qemu_run_set(&run, "unsafe", NULL);
    cli_qemu_creation_apply(creation, &run);
    return cli_qemu_run(&run, &why) ? 0 : !cli_qemu_fail(path, why);
}

static int run_create(const CliQemuLine *line)
{
    const char *name = cli_qemu_value(line, 'f'), *path;
    g_auto(CliQemuCreation) creation = {0};
    g_autofree char *options = NULL, *size = NULL;
    const CstImageFormat *format;
    guint64 bytes = 0;

    name = name ? name : "raw";
    if (!cli_qemu_list(line, 'o', &options))
        return 1;
    if (cli_qemu_wants_help(options))
        return cli_qemu_creation_help(name);
    if (line->count == 0)
        return !cli_qemu_usage("Expecting image file name");
    path = line->words[0];
    if (line->count > 1) {
        if (!cli_qemu_parse_size(line->words[1], "image size", 0, G_MAXINT64, &bytes))
            return 1;
        size = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    }
    if (line->count > 2)
        return !cli_qemu_usage("Unexpected argument: %s", line->words[2]);
    format = cst_image_format_find(name, NULL);
    if (!format)
        return !cli_qemu_error("%s: Unknown file format '%s'", path, name);
    if (!cst_image_format_can_create(format))
        return !cli_qemu_error("%s: Format driver '%s' does not support image creation", path,
                               name);
    if (!cli_qemu_creation_parse(&creation, path, name, options) ||
        !complete(line, path, size, &creation))
        return 1;
    return create_image(line, path, &creation);
}

static const struct option create_names[] = {QEMU_NAME_HELP, QEMU_NAME_OBJECT, {0}};

const CliQemuCommand cli_qemu_create = {
    .name = "create",
    .letters = ":F:b:f:ho:qu",
    .names = create_names,
    .usage = "[-q] [-f FORMAT] [-b BACKING_FILE [-F BACKING_FORMAT]] [-u] [-o OPTIONS] FILE [SIZE]",
    .run = run_create,
};
