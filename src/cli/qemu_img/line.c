/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command lines of qemu-img. They are parsed by getopt_long(3) as in qemu-img, so that
 * abbreviated names, joined letters and options after operands work. The messages about mistakes
 * are qemu-img's.
 */
#include "line.h"

#include <string.h>

#include <base/units.h>

#include "message.h"

gboolean cli_qemu_line_parse(int argc, char **argv, const char *letters, const struct option *names,
                             CliQemuLine *ret_line, gboolean *ret_help)
{
    int id;

    *ret_help = FALSE;
    ret_line->items = g_array_new(FALSE, FALSE, sizeof(CliQemuItem));
    optind = 0; /* makes getopt_long() forget the program's own options */
    while ((id = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        const CliQemuItem item = {id, optarg};

        if (id == ':')
            return cli_qemu_usage("missing argument for option '%s'", argv[optind - 1]);
        if (id == '?')
            return cli_qemu_usage("unrecognized option '%s'", argv[optind - 1]);
        if (id == 'h') {
            *ret_help = TRUE;
            return TRUE;
        }
        g_array_append_val(ret_line->items, item);
    }
    ret_line->words = argv + optind;
    ret_line->count = argc - optind;
    return TRUE;
}

void cli_qemu_line_clear(CliQemuLine *line)
{
    g_clear_pointer(&line->items, g_array_unref);
}

const char *cli_qemu_value(const CliQemuLine *line, int id)
{
    const char *value = NULL;

    for (guint i = 0; i < line->items->len; i++)
        if (g_array_index(line->items, CliQemuItem, i).id == id)
            value = g_array_index(line->items, CliQemuItem, i).value;
    return value;
}

gboolean cli_qemu_has(const CliQemuLine *line, int id)
{
    for (guint i = 0; i < line->items->len; i++)
        if (g_array_index(line->items, CliQemuItem, i).id == id)
            return TRUE;
    return FALSE;
}

/* Return: TRUE if @text can be joined with other lists. A doubled comma is part of a value. */
static gboolean is_list(const char *text)
{
    size_t len = strlen(text), commas = 0;

    while (commas < len && text[len - commas - 1] == ',')
        commas++;
    return len > 0 && text[0] != ',' && commas % 2 == 0;
}

gboolean cli_qemu_list(const CliQemuLine *line, int id, char **ret_list)
{
    g_autoptr(GString) list = g_string_new(NULL);
    gboolean given = FALSE;

    *ret_list = NULL;
    for (guint i = 0; i < line->items->len; i++) {
        const CliQemuItem *item = &g_array_index(line->items, CliQemuItem, i);

        if (item->id != id)
            continue;
        if (!is_list(item->value))
            return cli_qemu_error("Invalid option list: %s", item->value);
        g_string_append_printf(list, "%s%s", given ? "," : "", item->value);
        given = TRUE;
    }
    if (given)
        *ret_list = g_strdup(list->str);
    return TRUE;
}

void cli_qemu_list_walk(const char *list, CliQemuPairFunc func, gpointer data)
{
    while (*list) {
        g_autoptr(GString) option = g_string_new(NULL);
        char *value;

        for (; *list && (list[0] != ',' || list[1] == ','); list++) {
            if (*list == ',')
                list++;
            g_string_append_c(option, *list);
        }
        if (*list)
            list++;
        value = strchr(option->str, '=');
        if (value)
            *value++ = '\0';
        func(option->str, value, data);
    }
}

static gboolean is_out_of_range(const char *what, guint64 least, guint64 most)
{
    return cli_qemu_error("Invalid %s specified. Must be between %" G_GUINT64_FORMAT
                          " and %" G_GUINT64_FORMAT ".",
                          what, least, most);
}

gboolean cli_qemu_parse_size(const char *text, const char *what, guint64 least, guint64 most,
                             guint64 *ret_size)
{
    guint64 size;

    if (!cst_units_parse(text, 1, &size, NULL)) {
        if (*text && strspn(text, "0123456789") == strlen(text))
            return is_out_of_range(what, least, most);
        cli_qemu_error("Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what);
        return cli_qemu_error(
            "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    }
    if (size < least || size > most)
        return is_out_of_range(what, least, most);
    *ret_size = size;
    return TRUE;
}

gboolean cli_qemu_size(const CliQemuLine *line, int id, const char *what, guint64 least,
                       guint64 most, guint64 *ret_size)
{
    const char *text = cli_qemu_value(line, id);

    return !text || cli_qemu_parse_size(text, what, least, most, ret_size);
}

gboolean cli_qemu_output_is_json(const CliQemuLine *line, gboolean *ret_json)
{
    const char *output = cli_qemu_value(line, QEMU_OUTPUT);

    *ret_json = g_strcmp0(output, "json") == 0;
    return !output || *ret_json || strcmp(output, "human") == 0 ||
           cli_qemu_error("--output must be used with human or json as argument.");
}
