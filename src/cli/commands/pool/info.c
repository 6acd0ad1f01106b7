/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-info: facts about one pool, with its thin pools and its health. Facts that an older server
 * does not report are omitted or shown as unknown. Sizes are shown only for active pools, as in
 * virsh.
 */
#include <base/i18n.h>
#include <conn/trash.h>

#include "output/table.h"
#include "pool.h"

static const CliColumn info_columns[] = {
    {N_("Name:"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("UUID:"), "uuid", CLI_CELL_TEXT, NULL, 0},
    {N_("State:"), "state", CLI_CELL_WORD, NULL, 0},
    {N_("Persistent:"), "persistent", CLI_CELL_BOOL, N_("unknown"), 0},
    {N_("Autostart:"), "autostart", CLI_CELL_BOOL, N_("no autostart"), 0},
    {N_("Capacity:"), "capacity", CLI_CELL_SIZE, NULL, 0},
    {N_("Allocation:"), "allocation", CLI_CELL_SIZE, NULL, 0},
    {N_("Available:"), "available", CLI_CELL_SIZE, NULL, 0},
    {N_("Problem:"), "problem", CLI_CELL_TEXT, NULL, 0},
};

static void add_info(CliTable *table, CliCtl *ctl, const CstPoolRef *pool, const CstPoolInfo *info)
{
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *problem = NULL;
    gboolean persistent = FALSE;
    gboolean autostart = FALSE;
    gboolean known;
    gboolean active = info->state == CST_POOL_RUNNING || info->state == CST_POOL_DEGRADED;
    const uint64_t sizes[] = {info->capacity, info->allocation, info->available};

    cli_table_add_text(table, pool->name);
    cli_table_add_text(table, cst_uuid_format(&pool->uuid, uuid));
    cli_table_add_word(table, cli_pool_state_word(info->state));
    known = cst_conn_pool_is_persistent(ctl->conn, pool, &persistent, NULL);
    cli_table_add_known_bool(table, known, persistent);
    known = cst_conn_pool_get_autostart(ctl->conn, pool, &autostart, NULL);
    cli_table_add_known_bool(table, known, autostart);
    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++)
        cli_table_add_known_size(table, active, sizes[i]);
    problem = cst_conn_pool_problem(ctl->conn, pool);
    cli_table_add_text(table, problem);
}

static const CliColumn thin_columns[] = {
    {N_("Thin pool:"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("Thin size:"), "size", CLI_CELL_SIZE, NULL, 0},
    {N_("Thin data:"), "data_percent", CLI_CELL_PERCENT, NULL, 0},
    {N_("Thin metadata:"), "metadata_percent", CLI_CELL_PERCENT, NULL, 0},
    {"", "used", CLI_CELL_SIZE, NULL, CLI_COLUMN_JSON_ONLY},
    {"", "metadata_size", CLI_CELL_SIZE, NULL, CLI_COLUMN_JSON_ONLY},
    {"", "metadata_used", CLI_CELL_SIZE, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Thin volumes:"), "volumes", CLI_CELL_NUMBER, NULL, 0},
};

static const CliColumn health_columns[] = {
    {N_("Health:"), "state", CLI_CELL_TEXT, NULL, 0},
    {"", "level", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
};

static const CliColumn note_columns[] = {
    {N_("Health note:"), "note", CLI_CELL_TEXT, NULL, 0},
};

/* The state and notes of the storage technology are not translated. */
static void attach_health(CliTable *table, CliCtl *ctl, const CstPoolRef *pool)
{
    static const char *const levels[] = {"unknown", "good", "degraded", "failed"};
    g_auto(CstPoolHealth) health = {0};
    CliTable *found, *notes;

    if (!cst_conn_pool_health(ctl->conn, pool, &health, NULL) || health.level == CST_HEALTH_UNKNOWN)
        return;
    found = cli_table_new(health_columns, G_N_ELEMENTS(health_columns));
    cli_table_add_text(found, health.state);
    cli_table_add_text(found, levels[health.level]);
    cli_table_attach(table, "health", found);
    if (!health.notes)
        return;
    notes = cli_table_new(note_columns, G_N_ELEMENTS(note_columns));
    for (guint i = 0; i < health.notes->len; i++)
        cli_table_add_text(notes, g_ptr_array_index(health.notes, i));
    cli_table_attach(table, "health_notes", notes);
}

/* If the server does not report thin stores, no table is attached. */
static void attach_thin(CliTable *table, CliCtl *ctl, const CstPoolRef *pool)
{
    g_autoptr(GPtrArray) stores = cst_conn_pool_thin(ctl->conn, pool, NULL);
    CliTable *thin;

    if (!stores || stores->len == 0)
        return;
    thin = cli_table_new(thin_columns, G_N_ELEMENTS(thin_columns));
    for (guint i = 0; i < stores->len; i++) {
        const CstThinStore *store = g_ptr_array_index(stores, i);

        cli_table_add_text(thin, store->name);
        cli_table_add_size(thin, store->size);
        cli_table_add_percent(thin, store->used, store->size);
        cli_table_add_percent(thin, store->metadata_used, store->metadata_size);
        cli_table_add_size(thin, store->used);
        cli_table_add_size(thin, store->metadata_size);
        cli_table_add_size(thin, store->metadata_used);
        cli_table_add_number(thin, store->volumes);
    }
    cli_table_attach(table, "thin_pools", thin);
}

static const CliColumn trash_columns[] = {
    {N_("Trash:"), "allocation", CLI_CELL_SIZE, NULL, 0},
    {N_("In the trash:"), "volumes", CLI_CELL_NUMBER, NULL, 0},
};

/* The space of deleted volumes is part of the pool's allocation. */
static void attach_trash(CliTable *table, CliCtl *ctl, const CstPoolRef *pool)
{
    CstTrashTotals totals;
    CliTable *trash;

    if (!cst_conn_trash_totals(ctl->conn, pool, &totals, NULL) || totals.volumes == 0)
        return;
    trash = cli_table_new(trash_columns, G_N_ELEMENTS(trash_columns));
    cli_table_add_known_size(trash, totals.has_size, totals.allocation);
    cli_table_add_number(trash, totals.volumes);
    cli_table_attach(table, "trash", trash);
}

static gboolean cmd_pool_info(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autoptr(CliTable) table = cli_table_new(info_columns, G_N_ELEMENTS(info_columns));
    CstPoolInfo info;

    if (!pool || !cst_conn_pool_info(ctl->conn, pool, &info, error))
        return FALSE;
    add_info(table, ctl, pool, &info);
    attach_thin(table, ctl, pool);
    attach_health(table, ctl, pool);
    attach_trash(table, ctl, pool);
    cli_table_print_listing(ctl, table, "pool", 15);
    return TRUE;
}

static const CliOption info_options[] = {
    CLI_POOL_OPTION(cli_complete_pools),
    CLI_SWITCH("bytes", N_("Return pool info in bytes")),
    {0},
};

const CliCommand cli_pool_info_command = {
    .name = "pool-info",
    .summary = N_("storage pool information"),
    .description = N_("Returns basic information about the storage pool."),
    .options = info_options,
    .handler = cmd_pool_info,
};
