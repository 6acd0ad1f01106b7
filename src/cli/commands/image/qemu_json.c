/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The JSON of qemu-img: members with dashes, in QEMU's order. A number that is zero is left out of
 * the result of a check. A map has a line for each run.
 */
#include "qemu_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

gboolean cli_image_output(CliCtl *ctl, const CliArgs *args, gboolean *ret_qemu_json, GError **error)
{
    const char *output = NULL;

    if (!cli_args_string(args, "output", &output, error))
        return FALSE;
    *ret_qemu_json = g_strcmp0(output, "json") == 0;
    ctl->out_is_data = ctl->out_is_data || *ret_qemu_json;
    if (output && !*ret_qemu_json && strcmp(output, "human") != 0)
        return cst_fail(error, CST_ERROR_USAGE, _("--output must be human or json, not '%s'"),
                        output);
    return !*ret_qemu_json || !ctl->settings.json ||
           cst_fail(error, CST_ERROR_USAGE, _("Options --%s and --%s are mutually exclusive"),
                    "json", "output");
}

void cli_qemu_json_print(FILE *stream, const CliQdict *value)
{
    g_autofree char *text = cli_qdict_json(value);

    fprintf(stream, "%s\n", text);
}

static void add_count(CliQdict *dict, const char *key, uint64_t count)
{
    if (count)
        cli_qdict_add_number(dict, key, (int64_t)count);
}

void cli_qemu_json_check(FILE *stream, const char *path, const CstImageFormat *format,
                         const CstImageCheck *result)
{
    g_autoptr(CliQdict) dict = cli_qdict_new();

    cli_qdict_add_text(dict, "filename", path);
    cli_qdict_add_text(dict, "format", cst_image_format_name(format));
    cli_qdict_add_number(dict, "check-errors", 0);
    add_count(dict, "image-end-offset", result->image_end);
    add_count(dict, "corruptions", result->errors);
    add_count(dict, "leaks", result->leaks);
    add_count(dict, "corruptions-fixed", result->errors_fixed);
    add_count(dict, "leaks-fixed", result->leaks_fixed);
    add_count(dict, "total-clusters", result->total_clusters);
    add_count(dict, "allocated-clusters", result->allocated_clusters);
    add_count(dict, "fragmented-clusters", result->fragmented_clusters);
    add_count(dict, "compressed-clusters", result->compressed_clusters);
    cli_qemu_json_print(stream, dict);
}

void cli_qemu_json_measure(FILE *stream, const CstImageMeasure *measure)
{
    g_autoptr(CliQdict) dict = cli_qdict_new();

    cli_qdict_add_number(dict, "required", (int64_t)measure->required);
    cli_qdict_add_number(dict, "fully-allocated", (int64_t)measure->fully_allocated);
    if (measure->has_bitmaps)
        cli_qdict_add_number(dict, "bitmaps", (int64_t)measure->bitmaps);
    cli_qemu_json_print(stream, dict);
}

static const char *truth(gboolean value)
{
    return value ? "true" : "false";
}

static void print_last_run(CliQemuJsonMap *map)
{
    const CstMapRun *run = &map->last;

    if (run->length == 0)
        return;
    fprintf(map->stream,
            "%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
            ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s",
            map->follows ? ",\n" : "[", run->start, run->length, run->depth, truth(run->present),
            truth(run->zero), truth(run->data));
    if (run->has_offset)
        fprintf(map->stream, ", \"offset\": %" PRIu64, run->offset);
    fputc('}', map->stream);
    map->follows = TRUE;
}

void cli_qemu_json_map_add(CliQemuJsonMap *map, const CstMapRun *run)
{
    print_last_run(map);
    map->last = *run;
}

void cli_qemu_json_map_end(CliQemuJsonMap *map)
{
    print_last_run(map);
    fputs(map->follows ? "]\n" : "[]\n", map->stream);
}
