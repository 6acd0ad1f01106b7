/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd_image.h"

#include <base/error.h>
#include <base/i18n.h>
#include <image/map.h>

#include "table.h"

/* JSON members are qemu-img's; "filename" is ours. */
static const CliColumn columns[] = {
    {.title = N_("Offset"), .key = "start", .kind = CLI_CELL_NUMBER},
    {.title = N_("Length"), .key = "length", .kind = CLI_CELL_NUMBER},
    {.title = N_("State"), .key = "state", .kind = CLI_CELL_WORD},
    {.title = N_("Depth"), .key = "depth", .kind = CLI_CELL_NUMBER},
    {.title = N_("File"), .key = "filename", .kind = CLI_CELL_TEXT},
    {.title = "", .key = "present", .kind = CLI_CELL_BOOL, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "zero", .kind = CLI_CELL_BOOL, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "data", .kind = CLI_CELL_BOOL, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "offset", .kind = CLI_CELL_NUMBER, .flags = CLI_COLUMN_JSON_ONLY},
};

typedef struct {
    CstChain *chain;
    CliTable *table;
} Mapping;

static void mapping_clear(Mapping *mapping)
{
    cst_chain_free(mapping->chain);
    cli_table_free(mapping->table);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Mapping, mapping_clear)

static gboolean add_run(const CstMapRun *run, gpointer data, GError **error)
{
    Mapping *mapping = data;

    cli_table_add_number(mapping->table, run->start);
    cli_table_add_number(mapping->table, run->length);
    cli_table_add_word(mapping->table, run->zero   ? N_("zero")
                                       : run->data ? N_("data")
                                                   : N_("below"));
    cli_table_add_number(mapping->table, run->depth);
    cli_table_add_text(mapping->table, cst_chain_blob(mapping->chain, run->depth)->name);
    cli_table_add_bool(mapping->table, run->present);
    cli_table_add_bool(mapping->table, run->zero);
    cli_table_add_bool(mapping->table, run->data);
    if (run->has_offset)
        cli_table_add_number(mapping->table, run->offset);
    else
        cli_table_add_absent(mapping->table);
    return TRUE;
}

static gboolean run_mapping(CstTask *task, gpointer data, GError **error)
{
    Mapping *mapping = data;

    return cst_chain_map(mapping->chain, add_run, mapping, task, error);
}

gboolean cli_cmd_image_map(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const CstChainFiles files =
        cst_path_files(cli_args_has(args, "backing-chain") ? CST_PATH_FOLLOW : 0);
    const char *path = NULL, *name = NULL;
    const CstImageFormat *format;
    g_autoptr(CstBlob) blob = NULL;
    g_auto(Mapping) mapping = {0};

    if (!cli_args_string(args, "file", &path, error) ||
        !cli_args_string(args, "format", &name, error))
        return FALSE;
    blob = cli_image_blob(ctl, path, FALSE, error);
    format = blob ? cli_image_format(ctl, blob, name, error) : NULL;
    mapping.chain = format ? cst_chain_look(blob, format, &files, error) : NULL;
    if (!mapping.chain)
        return FALSE;
    mapping.table = cli_table_new(columns, G_N_ELEMENTS(columns));
    if (!cli_run_task(ctl, _("Mapping"), run_mapping, &mapping, error))
        return FALSE;
    cli_table_print(ctl, mapping.table, "map");
    return TRUE;
}
