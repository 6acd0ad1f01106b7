/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * map: the ranges of an image and the file that each comes from. The text lists ranges with data
 * only. JSON lists all ranges, a line for each.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <base/text.h>

#include "commands.h"
#include "commands/image/image.h"
#include "commands/image/qemu_json.h"
#include "formats.h"
#include "message.h"
#include "run.h"

/** The output so far. */
typedef struct {
    gboolean json;
    gboolean failed; /**< text cannot show the image */
    CliQemuJsonMap map;
} Output;

static void print_run(const CstMapRun *run, CstBlob *file, gpointer data)
{
    Output *output = data;
    g_autofree char *name = NULL;

    if (output->json) {
        cli_qemu_json_map_add(&output->map, run);
        return;
    }
    if (!run->data || run->zero || output->failed)
        return;
    if (!run->has_offset) {
        output->failed = TRUE;
        return;
    }
    name = cst_text_escape(file->name);
    printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", run->start, run->length,
           run->offset, name);
}

/*
 * Adds the rest of the last sector of a plain file, which qemu-img shows as a hole. It is a part of
 * a hole before it.
 */
static void add_tail(const CstImageFormat *format, CliQemuJsonMap *map)
{
    uint64_t end = map->last.start + map->last.length;
    const CstMapRun tail = {
        .start = end,
        .length = cli_qemu_disk_size(format, end) - end,
        .present = TRUE,
        .zero = TRUE,
        .has_offset = TRUE,
        .offset = end,
    };

    if (map->last.length > 0 && map->last.zero && !map->last.data)
        map->last.length += tail.length;
    else if (tail.length > 0)
        cli_qemu_json_map_add(map, &tail);
}

static gboolean map_image(CliQemuRun *run, const char *name, const CstImageFormat *format,
                          gboolean json)
{
    Output output = {.json = json, .map.stream = stdout};
    g_autoptr(GError) why = NULL;

    if (!json)
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    if (!cli_image_map_file(&run->ctl, run->args, print_run, &output, &why))
        return cli_qemu_error("Could not open '%s': %s", name, why->message);
    if (json) {
        if (!cli_args_has(run->args, "max-length"))
            add_tail(format, &output.map);
        cli_qemu_json_map_end(&output.map);
    }
    return !output.failed ||
           cli_qemu_error("File contains external, encrypted or compressed clusters.");
}

/* Sets option @name of image-map to the size in option @id. */
static gboolean set_bound(const CliQemuLine *line, CliQemuRun *run, int id, const char *name,
                          const char *what)
{
    guint64 size = 0;

    if (!cli_qemu_size(line, id, what, 0, G_MAXINT64, &size))
        return FALSE;
    if (cli_qemu_has(line, id))
        cli_qemu_run_set_number(run, name, size);
    return TRUE;
}

static int run_map(const CliQemuLine *line)
{
    g_auto(CliQemuFile) file = {0};
    g_auto(CliQemuRun) run = {0};
    const CstImageFormat *format = NULL;
    gboolean json;

    cli_qemu_run_init(&run, &cli_image_map_command, line);
    if (!set_bound(line, &run, 's', "start-offset", "start offset") ||
        !set_bound(line, &run, 'l', "max-length", "max length"))
        return 1;
    if (line->count != 1)
        return !cli_qemu_usage("Expecting one image file name");
    if (!cli_qemu_output_is_json(line, &json) ||
        !cli_qemu_file_parse(line->words[0], cli_qemu_value(line, 'f'),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
        !cli_qemu_file_check(
            &file, CLI_QEMU_BACKING | (cli_qemu_has(line, 'U') ? CLI_QEMU_SHARE : 0), &format))
        return 1;
    cli_qemu_run_set_file(&run, "file", "format", &file);
    return !map_image(&run, file.name, format, json);
}

static const struct option map_names[] = {
    QEMU_NAME_HELP,
    {"format", required_argument, NULL, 'f'},
    QEMU_NAME_OUTPUT,
    QEMU_NAME_OBJECT,
    QEMU_NAME_IMAGE_OPTS,
    QEMU_NAME_FORCE_SHARE,
    {"start-offset", required_argument, NULL, 's'},
    {"max-length", required_argument, NULL, 'l'},
    {0},
};

const CliQemuCommand cli_qemu_map = {
    .name = "map",
    .letters = ":f:s:l:hU",
    .names = map_names,
    .usage = "[--image-opts] [-f FORMAT] [--start-offset=OFFSET] [--max-length=LENGTH] "
             "[--output=human|json] [-U] FILE",
    .run = run_map,
};
