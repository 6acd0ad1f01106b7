/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-list: the volumes of a pool in virsh's tables. All details come in one call; what is wrong
 * with a volume is a warning on stderr, next to the table.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "commands/pool/pool.h"
#include "options.h"
#include "output/table.h"
#include "output/text.h"
#include "volume.h"

static const CliColumn short_columns[] = {
    {N_("Name"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("Path"), "path", CLI_CELL_TEXT, N_("unknown"), 0},
    {N_("Key"), "key", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
};

static const CliColumn detail_columns[] = {
    {N_("Name"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("Path"), "path", CLI_CELL_TEXT, N_("unknown"), 0},
    {N_("Key"), "key", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Type"), "type", CLI_CELL_WORD, N_("unknown"), 0},
    {N_("Capacity"), "capacity", CLI_CELL_SIZE, N_("unknown"), 0},
    {N_("Allocation"), "allocation", CLI_CELL_SIZE, N_("unknown"), 0},
    {N_("Estimated"), "allocation_estimated", CLI_CELL_BOOL, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Physical"), "physical", CLI_CELL_SIZE, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Format"), "format", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Problem"), "problem", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
};

static int compare_rows(gconstpointer a, gconstpointer b)
{
    const CstVolRow *const *one = a;
    const CstVolRow *const *two = b;

    return g_ascii_strcasecmp((*one)->name, (*two)->name);
}

static void add_identity(CliTable *table, const CstVolRow *row)
{
    cli_table_add_text(table, row->name);
    cli_table_add_text(table, *row->path ? row->path : NULL);
    cli_table_add_text(table, row->key);
}

static void add_details(CliTable *table, const CstVolRow *row)
{
    const CstVolInfo *info = &row->info;
    /* A stock server tells nothing at all of a volume that it could not look at. */
    gboolean known = !row->problem || info->capacity || info->allocation || info->physical;

    cli_table_add_word(table, known ? cli_vol_type_word(info->type) : NULL);
    cli_table_add_known_size(table, known, info->capacity);
    cli_table_add_known_size(table, known, info->allocation);
    cli_table_add_known_bool(table, known, info->estimated);
    cli_table_add_known_size(table, info->physical != 0, info->physical);
    cli_table_add_text(table, row->format);
    cli_table_add_text(table, row->problem);
}

/** The table's columns are virsh's, so what is wrong with a volume goes beside it. */
static void warn_of_problems(CliCtl *ctl, const GPtrArray *rows)
{
    if (ctl->settings.json)
        return;
    for (guint i = 0; i < rows->len; i++) {
        const CstVolRow *row = g_ptr_array_index(rows, i);

        if (row->problem)
            cli_warn(ctl, _("warning: volume '%s': %s\n"), row->name, row->problem);
    }
}

static gboolean cmd_list(CliCtl *ctl, const CliArgs *args, GError **error)
{
    gboolean details = cli_args_has(args, "details");
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autoptr(GPtrArray) rows = NULL;
    g_autoptr(CliTable) table = details
                                    ? cli_table_new(detail_columns, G_N_ELEMENTS(detail_columns))
                                    : cli_table_new(short_columns, G_N_ELEMENTS(short_columns));

    if (!pool)
        return FALSE;
    rows = cst_conn_vol_list(ctl->conn, pool, details, error);
    if (!rows)
        return cli_failed(ctl, "%s", _("Failed to list volumes"));
    g_ptr_array_sort(rows, compare_rows);
    for (guint i = 0; i < rows->len; i++) {
        add_identity(table, rows->pdata[i]);
        if (details)
            add_details(table, rows->pdata[i]);
    }
    cli_table_print(ctl, table, "volumes");
    warn_of_problems(ctl, rows);
    return TRUE;
}

static const CliOption list_options[] = {
    OF_POOL(N_("pool name or uuid")),
    CLI_SWITCH("details", N_("display extended details for volumes")),
    {0},
};

const CliCommand cli_vol_list_command = {
    .name = "vol-list",
    .summary = N_("list vols"),
    .description = N_("Returns list of vols by pool."),
    .options = list_options,
    .handler = cmd_list,
};
