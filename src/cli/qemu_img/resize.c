/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resize: changes the size of an image, by image-resize's code. The size is the last word, and may
 * begin with '-'. Therefore the parser of the program removes it before options are parsed.
 */
#include <stdio.h>
#include <string.h>

#include <base/units.h>

#include "commands.h"
#include "commands/image/image.h"
#include "message.h"
#include "run.h"

/** The size in the command line. */
typedef struct {
    char sign; /**< '+', '-', or 0 for an absolute size */
    uint64_t size;
} NewSize;

static gboolean parse_size(const char *text, NewSize *ret_size)
{
    ret_size->sign = *text == '+' || *text == '-' ? *text++ : 0;
    if (cst_units_parse(text, 1, &ret_size->size, NULL))
        return TRUE;
    cli_qemu_error("Parameter 'size' expects a non-negative number below 2^64");
    cli_qemu_hint("Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-");
    cli_qemu_hint("and exabytes, respectively.");
    return FALSE;
}

/* Computes the new size of an image of @old bytes. */
static gboolean resolve_size(const NewSize *given, uint64_t old, uint64_t *ret_size)
{
    if ((given->sign == '-' && given->size >= old) || (!given->sign && given->size == 0) ||
        given->size > G_MAXINT64 - (given->sign == '+' ? old : 0))
        return cli_qemu_error("New image size must be positive");
    *ret_size = given->sign == '-'   ? old - given->size
                : given->sign == '+' ? old + given->size
                                     : given->size;
    return TRUE;
}

/* Refuses combinations of the new size @size with options. */
static gboolean check_resize(const CliQemuLine *line, uint64_t old, uint64_t size)
{
    const char *mode = cli_qemu_value(line, QEMU_PREALLOCATION);
    CstPreallocation preallocation = CST_PREALLOC_OFF;

    if (mode && !cst_preallocation_parse(mode, &preallocation))
        return cli_qemu_error("Invalid preallocation mode '%s'", mode);
    if (size <= old && preallocation != CST_PREALLOC_OFF)
        return cli_qemu_error("Preallocation can only be used for growing images");
    if (size < old && !cli_qemu_has(line, QEMU_SHRINK)) {
        cli_qemu_error("Use the --shrink option to perform a shrink operation.");
        return cli_qemu_error(
            "warning: Shrinking an image will delete all data beyond the shrunken "
            "image's end. Before performing such an operation, make sure there "
            "is no important data there.");
    }
    return TRUE;
}

static int resize_image(const CliQemuLine *line, const CliQemuFile *file,
                        const CstImageFormat *format, const NewSize *given)
{
    const char *mode = cli_qemu_value(line, QEMU_PREALLOCATION);
    g_auto(CstImageInfo) info = {0};
    g_autoptr(GError) why = NULL;
    g_autoptr(CstBlob) blob = cst_blob_file_open(file->path, FALSE, &why);
    g_auto(CliQemuRun) run = {0};
    uint64_t size = 0;

    if (!blob || !cst_image_inspect(blob, format, &info, &why))
        return !cli_qemu_error("Could not open '%s': %s", file->name, why->message);
    g_clear_pointer(&blob, cst_blob_unref);
    if (!resolve_size(given, info.capacity, &size) || !check_resize(line, info.capacity, size))
        return 1;
    cli_qemu_run_init(&run, &cli_image_resize_command, line);
    cli_qemu_run_set_file(&run, "file", "format", file);
    cli_qemu_run_set_number(&run, "size", size);
    cli_qemu_run_set_value(&run, "preallocation", mode);
    if (cli_qemu_has(line, QEMU_SHRINK))
        cli_qemu_run_set(&run, "shrink", NULL);
    if (!cli_qemu_run(&run, &why))
        return !cli_qemu_fail(NULL, why);
    if (!cli_qemu_has(line, 'q'))
        printf("Image resized.\n");
    return 0;
}

static int run_resize(const CliQemuLine *line)
{
    const CstImageFormat *format = NULL;
    g_auto(CliQemuFile) file = {0};
    NewSize given = {0};

    if (line->count != 2)
        return !cli_qemu_usage("Expecting image file name and size");
    if (!parse_size(line->words[1], &given) ||
        !cli_qemu_file_parse(line->words[0], cli_qemu_value(line, 'f'),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
        !cli_qemu_file_check(&file, CLI_QEMU_WRITE | CLI_QEMU_BACKING, &format))
        return 1;
    return resize_image(line, &file, format, &given);
}

static const struct option resize_names[] = {
    QEMU_NAME_HELP,
    QEMU_NAME_OBJECT,
    QEMU_NAME_IMAGE_OPTS,
    {"preallocation", required_argument, NULL, QEMU_PREALLOCATION},
    {"shrink", no_argument, NULL, QEMU_SHRINK},
    {0},
};

const CliQemuCommand cli_qemu_resize = {
    .name = "resize",
    .letters = ":f:hq",
    .names = resize_names,
    .usage = "[--image-opts] [-f FORMAT] [--preallocation=MODE] [-q] [--shrink] FILE [+|-]SIZE",
    .size_is_last = TRUE,
    .run = run_resize,
};
