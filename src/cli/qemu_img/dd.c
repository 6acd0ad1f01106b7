/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dd: copies a range of an image into a new image, by image-dd's code. */
#include <string.h>

#include "commands.h"
#include "commands/image/image.h"
#include "message.h"
#include "run.h"

#define BLOCK_SIZE_DEFAULT 512

/** The operands, borrowed from the command line. */
typedef struct {
    const char *input, *output;
    guint64 block_size, count, skip;
} Operands;

/* Checks one operand, as "bs=1M". */
static gboolean check_operand(const char *word, Operands *operands)
{
    const struct {
        const char *name;
        guint64 least, most, *value;
    } numbers[] = {
        {"bs", 1, G_MAXINT32, &operands->block_size},
        {"count", 0, G_MAXINT64, &operands->count},
        {"skip", 0, G_MAXINT64, &operands->skip},
    };
    const char *equals = strchr(word, '=');
    g_autofree char *name = g_strndup(word, equals ? (gsize)(equals - word) : strlen(word));

    if (equals && strcmp(name, "if") == 0) {
        operands->input = equals + 1;
        return TRUE;
    }
    if (equals && strcmp(name, "of") == 0) {
        operands->output = equals + 1;
        return TRUE;
    }
    for (size_t i = 0; equals && i < G_N_ELEMENTS(numbers); i++)
        if (strcmp(name, numbers[i].name) == 0)
            return cli_qemu_parse_size(equals + 1, name, numbers[i].least, numbers[i].most,
                                       numbers[i].value);
    return cli_qemu_error("unrecognized operand %s", name);
}

/* Return: TRUE if skip= leads past the end of the image. */
static gboolean skips_all(const CliQemuFile *file, const CstImageFormat *format,
                          const Operands *operands)
{
    g_autoptr(CstBlob) blob = cst_blob_file_open(file->path, FALSE, NULL);
    g_auto(CstImageInfo) info = {0};

    return blob && cst_image_inspect(blob, format, &info, NULL) &&
           operands->skip > info.capacity / operands->block_size;
}

/* Creates an empty target, as qemu-img does if skip= leads past the end. */
static int create_empty(const CliQemuLine *line, const Operands *operands)
{
    const char *format = cli_qemu_value(line, 'O');
    g_autoptr(GError) why = NULL;
    g_auto(CliQemuRun) run = {0};

    cli_qemu_error("%s: cannot skip to specified offset", operands->input);
    cli_qemu_run_init(&run, &cli_image_create_command, line);
    cli_qemu_run_set(&run, "file", cli_qemu_path(operands->output));
    cli_qemu_run_set(&run, "size", "0");
    cli_qemu_run_set(&run, "format", format ? format : "raw");
    return cli_qemu_run(&run, &why) ? 0 : !cli_qemu_fail(operands->output, why);
}

static int copy_image(const CliQemuLine *line, const Operands *operands, const CliQemuFile *file)
{
    const char *format = cli_qemu_value(line, 'O');
    g_autoptr(GError) why = NULL;
    g_auto(CliQemuRun) run = {0};
    g_autofree char *input = g_strconcat("if=", file->path, NULL);

    cli_qemu_run_init(&run, &cli_image_dd_command, line);
    cli_qemu_run_set(&run, "operand", input);
    for (int i = 0; i < line->count; i++)
        if (!g_str_has_prefix(line->words[i], "if="))
            cli_qemu_run_set(&run, "operand", line->words[i]);
    cli_qemu_run_set_file(&run, NULL, "source-format", file);
    cli_qemu_run_set(&run, "target-format", format ? format : "raw");
    if (cli_qemu_run(&run, &why))
        return 0;
    return !cli_qemu_error("%s: error while converting %s: %s", operands->output,
                           format ? format : "raw", why->message);
}

static int run_dd(const CliQemuLine *line)
{
    const char *format = cli_qemu_value(line, 'O');
    g_auto(CliQemuFile) file = {0};
    Operands operands = {.block_size = BLOCK_SIZE_DEFAULT};
    const CstImageFormat *found = NULL;

    for (int i = 0; i < line->count; i++)
        if (!check_operand(line->words[i], &operands))
            return 1;
    if (!operands.input || !operands.output)
        return !cli_qemu_error("Must specify both input and output files");
    if (!cli_qemu_file_parse(operands.input, cli_qemu_value(line, 'f'),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
        !cli_qemu_file_check(
            &file, CLI_QEMU_BACKING | (cli_qemu_has(line, 'U') ? CLI_QEMU_SHARE : 0), &found))
        return 1;
    if (format && !cst_image_format_find(format, NULL))
        return !cli_qemu_error("Unknown file format");
    return skips_all(&file, found, &operands) ? create_empty(line, &operands)
                                              : copy_image(line, &operands, &file);
}

static const struct option dd_names[] = {
    QEMU_NAME_HELP, QEMU_NAME_OBJECT, QEMU_NAME_IMAGE_OPTS, QEMU_NAME_FORCE_SHARE, {0}};

const CliQemuCommand cli_qemu_dd = {
    .name = "dd",
    .letters = ":hnf:O:U",
    .names = dd_names,
    .usage = "[--image-opts] [-U] [-f FORMAT] [-O FORMAT] [bs=SIZE] [count=BLOCKS] [skip=BLOCKS] "
             "if=INPUT of=OUTPUT",
    .run = run_dd,
};
