/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-map: prints the ranges of an image that contain data, and the file of the chain that each
 * range comes from. Runs are rows of a table that vol-map shares (view_report.c).
 */
#include "image.h"

#include <base/error.h>
#include <base/i18n.h>

#include "commands/view_report.h"
#include "options.h"
#include "output/progress.h"
#include "qemu_json.h"

/** A walk over the runs of a range of an image. */
typedef struct {
    CstChain *chain;
    uint64_t start, length; /**< requested range of the guest-visible content */
    CliImageRunFunc func;
    gpointer data;
} Mapping;

static gboolean mapping_pass_run(const CstMapRun *run, gpointer data, GError **error)
{
    Mapping *mapping = data;

    mapping->func(run, cst_chain_blob(mapping->chain, run->depth), mapping->data);
    return TRUE;
}

static gboolean run_mapping(CstTask *task, gpointer data, GError **error)
{
    Mapping *mapping = data;

    return cst_chain_map_range(mapping->chain, mapping->start, mapping->length, mapping_pass_run,
                               mapping, task, error);
}

gboolean cli_image_map_file(CliCtl *ctl, const CliArgs *args, CliImageRunFunc func, gpointer data,
                            GError **error)
{
    const CstChainFiles files = cli_image_files(ctl);
    const char *path = NULL;
    const CstImageFormat *format = NULL;
    g_autoptr(CstBlob) blob = NULL;
    g_autoptr(CstChain) chain = NULL;
    Mapping mapping = {.length = UINT64_MAX, .func = func, .data = data};

    if (!cli_args_string(args, "file", &path, error) ||
        !cli_args_size(args, "start-offset", 1, &mapping.start, error) ||
        !cli_args_size(args, "max-length", 1, &mapping.length, error))
        return FALSE;
    blob = cli_image_open(ctl, args, path, "format", FALSE, &format, error);
    mapping.chain = chain = blob ? cst_chain_look(blob, format, &files, error) : NULL;
    return chain && cli_run_task(ctl, _("Mapping"), run_mapping, &mapping, error);
}

static void map_add_run(const CstMapRun *run, CstBlob *file, gpointer data)
{
    const CstVolMapRun row = CST_VOL_MAP_RUN(run);

    cli_map_add(data, &row, file->name);
}

static void map_add_qemu_json(const CstMapRun *run, CstBlob *file, gpointer data)
{
    cli_qemu_json_map_add(data, run);
}

static gboolean cmd_image_map(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_map_table();
    CliQemuJsonMap map = {.stream = ctl->out};
    gboolean qemu_json;

    if (!cli_image_output(ctl, args, &qemu_json, error))
        return FALSE;
    if (qemu_json) {
        if (!cli_image_map_file(ctl, args, map_add_qemu_json, &map, error))
            return FALSE;
        cli_qemu_json_map_end(&map);
        return TRUE;
    }
    if (!cli_image_map_file(ctl, args, map_add_run, table, error))
        return FALSE;
    cli_table_print(ctl, table, "map");
    return TRUE;
}

static const CliOption map_options[] = {
    IMAGE_FILE,
    SOURCE_FORMAT,
    {.name = "start-offset",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 's',
     .help = N_("where to begin, as 1G; default: at the start")},
    {.name = "max-length",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .letter = 'l',
     .help = N_("bytes to look at; default: up to the end")},
    FOLLOW,
    DATA_FILE,
    OUTPUT,
    FORCE_SHARE,
    {0},
};

const CliCommand cli_image_map_command = {
    .name = "image-map",
    .summary = N_("show which parts of an image hold data"),
    .description = N_(
        "Offset, length and state of each run of guest-visible content, and its image in the "
        "chain. Without --backing-chain, a run that the image itself does not hold is \"below\"."),
    .options = map_options,
    .handler = cmd_image_map,
    .flags = OURS,
};
