/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmap: changes dirty bitmaps in an image, by image-bitmap's code. */
#include <string.h>

#include <image/bitmap.h>

#include "commands.h"
#include "commands/image/image.h"
#include "message.h"
#include "run.h"

static const struct {
    int id;
    const char *action; /**< name of the option of both programs */
} actions[] = {
    {QEMU_ADD, "add"},       {QEMU_CLEAR, "clear"}, {QEMU_DISABLE, "disable"},
    {QEMU_ENABLE, "enable"}, {QEMU_MERGE, "merge"}, {QEMU_REMOVE, "remove"},
};

/* Sets the actions in the order of the command line. *ret_first is the first one. */
static void set_actions(const CliQemuLine *line, CliQemuRun *run, const char **ret_first)
{
    *ret_first = NULL;
    for (guint i = 0; i < line->items->len; i++) {
        const CliQemuItem *item = &g_array_index(line->items, CliQemuItem, i);

        for (size_t j = 0; j < G_N_ELEMENTS(actions); j++)
            if (actions[j].id == item->id) {
                cli_qemu_run_set(run, actions[j].action, item->value);
                *ret_first = *ret_first ? *ret_first : actions[j].action;
            }
    }
}

static gboolean check_arguments(const CliQemuLine *line, const char *first)
{
    if (!first)
        return cli_qemu_error("Need at least one of --add, --remove, --clear, --enable, "
                              "--disable, or --merge");
    if (cli_qemu_has(line, 'g') && !cli_qemu_has(line, QEMU_ADD))
        return cli_qemu_error("granularity only supported with --add");
    if (cli_qemu_has(line, 'F') && !cli_qemu_has(line, 'b'))
        return cli_qemu_error("-F only supported with -b");
    if (cli_qemu_has(line, 'b') && !cli_qemu_has(line, QEMU_MERGE))
        return cli_qemu_error("Merge bitmap source file only supported with --merge");
    return line->count == 2 || cli_qemu_error("Expecting filename and bitmap name");
}

/* Return: the reason in qemu-img's words, if it has some for the class of @why. g_free() it. */
static char *bitmap_reason(const char *bitmap, const GError *why)
{
    if (g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS))
        return g_strdup_printf("Bitmap already exists: %s", bitmap);
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        return g_strdup_printf("Dirty bitmap '%s' not found", bitmap);
    return g_strdup(why->message);
}

static gboolean set_granularity(const CliQemuLine *line, CliQemuRun *run)
{
    guint64 granularity = 0;

    if (!cli_qemu_has(line, 'g'))
        return TRUE;
    if (!cli_qemu_size(line, 'g', "granularity", 1, G_MAXINT64, &granularity))
        return FALSE;
    cli_qemu_run_set_number(run, "granularity", granularity);
    return TRUE;
}

static int change_bitmap(const CliQemuLine *line, CliQemuRun *run, const char *first)
{
    const char *bitmap = line->words[1];
    g_autoptr(GError) why = NULL;
    g_autofree char *reason = NULL;

    cli_qemu_run_set(run, "bitmap", bitmap);
    if (cli_qemu_run(run, &why))
        return 0;
    reason = bitmap_reason(bitmap, why);
    return !cli_qemu_error("Operation %s on bitmap %s failed: %s", first, bitmap, reason);
}

static int run_bitmap(const CliQemuLine *line)
{
    const char *first, *source = cli_qemu_value(line, 'b');
    g_auto(CliQemuFile) file = {0};
    g_auto(CliQemuFile) from = {0};
    g_auto(CliQemuRun) run = {0};

    cli_qemu_run_init(&run, &cli_image_bitmap_command, line);
    set_actions(line, &run, &first);
    if (!set_granularity(line, &run) || !check_arguments(line, first) ||
        !cli_qemu_file_parse(line->words[0], cli_qemu_value(line, 'f'),
                             cli_qemu_has(line, QEMU_IMAGE_OPTS), &file) ||
        !cli_qemu_file_check(&file, CLI_QEMU_WRITE, NULL))
        return 1;
    cli_qemu_run_set_file(&run, "file", "format", &file);
    if (source) {
        if (!cli_qemu_file_parse(source, cli_qemu_value(line, 'F'), FALSE, &from) ||
            !cli_qemu_file_check(&from, 0, NULL))
            return 1;
        cli_qemu_run_set_file(&run, "source-file", "source-format", &from);
    }
    return change_bitmap(line, &run, first);
}

static const struct option bitmap_names[] = {
    QEMU_NAME_HELP,
    QEMU_NAME_OBJECT,
    QEMU_NAME_IMAGE_OPTS,
    {"add", no_argument, NULL, QEMU_ADD},
    {"remove", no_argument, NULL, QEMU_REMOVE},
    {"clear", no_argument, NULL, QEMU_CLEAR},
    {"enable", no_argument, NULL, QEMU_ENABLE},
    {"disable", no_argument, NULL, QEMU_DISABLE},
    {"merge", required_argument, NULL, QEMU_MERGE},
    {"granularity", required_argument, NULL, 'g'},
    {"source-file", required_argument, NULL, 'b'},
    {"source-format", required_argument, NULL, 'F'},
    {0},
};

const CliQemuCommand cli_qemu_bitmap = {
    .name = "bitmap",
    .letters = ":b:f:F:g:h",
    .names = bitmap_names,
    .usage = "(--merge SOURCE | --add | --remove | --clear | --enable | --disable)... "
             "[-b SOURCE_FILE [-F SOURCE_FORMAT]] [-g GRANULARITY] [--image-opts | -f FORMAT] FILE "
             "BITMAP",
    .run = run_bitmap,
};
