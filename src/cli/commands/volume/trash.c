/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trash-list, trash-restore and trash-empty: deleted volumes that pools keep. A deleted volume is
 * named by its id or by its former name. Without --pool it is searched in all active pools.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <conn/trash.h>

#include "options.h"
#include "output/confirm.h"
#include "output/filter.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/table.h"
#include "output/text.h"
#include "output/view.h"

static const CliColumn columns[] = {
    {N_("Pool"), "pool", CLI_CELL_TEXT, NULL, 0},
    {N_("Name"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("Id"), "id", CLI_CELL_TEXT, NULL, 0},
    {N_("Deleted"), "deleted", CLI_CELL_TIME, "-", 0},
    {N_("Until"), "until", CLI_CELL_TIME, "-", 0},
    {N_("User"), "uid", CLI_CELL_NUMBER, NULL, 0},
    {N_("Capacity"), "capacity", CLI_CELL_SIZE, "-", CLI_COLUMN_ON_REQUEST},
    {N_("Allocation"), "allocation", CLI_CELL_SIZE, "-", 0},
    {N_("Kept as"), "hidden", CLI_CELL_TEXT, NULL, CLI_COLUMN_ON_REQUEST},
};

/* --- trash-list ------------------------------------------------------------------------------- */

static void trash_row_add(CliTable *table, const CstTrashRow *row)
{
    cli_table_add_text(table, row->pool);
    cli_table_add_text(table, row->name);
    cli_table_add_text(table, row->id);
    cli_table_add_time(table, row->deleted);
    cli_table_add_time(table, row->until);
    cli_table_add_number(table, row->uid);
    cli_table_add_known_size(table, row->has_size, row->capacity);
    cli_table_add_known_size(table, row->has_size, row->allocation);
    cli_table_add_text(table, row->hidden);
}

static gboolean cmd_trash_list(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    g_autoptr(GPtrArray) pools = NULL;
    g_auto(CliView) view = {0};

    if (!cli_view_read(&view, args, columns, G_N_ELEMENTS(columns), NULL, error))
        return FALSE;
    pools = cli_pools_asked(ctl, args, error);
    if (!pools)
        return FALSE;
    for (guint i = 0; i < pools->len; i++) {
        g_autoptr(GPtrArray) rows =
            cst_conn_trash_list(ctl->conn, g_ptr_array_index(pools, i), error);

        if (!rows)
            return cli_failed(ctl, _("Failed to list the trash of pool %s"),
                              ((CstPoolRef *)g_ptr_array_index(pools, i))->name);
        for (guint j = 0; j < rows->len; j++)
            trash_row_add(table, g_ptr_array_index(rows, j));
    }
    cli_view_print(ctl, &view, table, "trash");
    return TRUE;
}

static void complete_trash_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(columns, G_N_ELEMENTS(columns), words);
}

#define ACTIVE_POOL POOL_OPTION("pool", N_("pool name or uuid; default: all active pools"))

static const CliOption list_options[] = {
    ACTIVE_POOL, CLI_VIEW_OPTIONS(complete_trash_columns), {0}};

const CliCommand cli_trash_list_command = {
    .name = "trash-list",
    .summary = N_("list deleted vols that pools keep"),
    .description = N_("List the deleted vols of pools with a trash (pool-define-as --trash DAYS), "
                      "the end of their retention, and the space that they take."),
    .options = list_options,
    .handler = cmd_trash_list,
    .flags = CLI_CMD_OURS,
};

/* --- finding a deleted volume ----------------------------------------------------------------- */

static gboolean trash_row_matches(const CstTrashRow *row, const char *which)
{
    return strcmp(row->id, which) == 0 || strcmp(row->name, which) == 0;
}

/*
 * Find the only pool that has @which in its trash. Fails if several pools have it, because the name
 * is then ambiguous. The result is borrowed from @pools.
 */
static const CstPoolRef *find_pool_of(CliCtl *ctl, const GPtrArray *pools, const char *which,
                                      GError **error)
{
    const CstPoolRef *found = NULL;

    for (guint i = 0; i < pools->len; i++) {
        const CstPoolRef *pool = g_ptr_array_index(pools, i);
        g_autoptr(GPtrArray) rows = cst_conn_trash_list(ctl->conn, pool, error);
        gboolean here = FALSE;

        if (!rows)
            return NULL;
        for (guint j = 0; j < rows->len && !here; j++)
            here = trash_row_matches(g_ptr_array_index(rows, j), which);
        if (here && found) {
            cst_fail(
                error, CST_ERROR_USAGE,
                _("pools '%s' and '%s' both have a vol '%s' in the trash; say which by --pool"),
                found->name, pool->name, which);
            return NULL;
        }
        found = here ? pool : found;
    }
    if (!found)
        cst_fail(error, CST_ERROR_NO_VOL, _("there is no volume '%s' in the trash"), which);
    return found;
}

static void complete_trashed(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    g_autoptr(GPtrArray) pools = cli_pools_asked(ctl, args, NULL);

    for (guint i = 0; pools && i < pools->len; i++) {
        g_autoptr(GPtrArray) rows =
            cst_conn_trash_list(ctl->conn, g_ptr_array_index(pools, i), NULL);

        for (guint j = 0; rows && j < rows->len; j++)
            g_ptr_array_add(words, g_strdup(((CstTrashRow *)g_ptr_array_index(rows, j))->name));
    }
}

/* --- trash-restore ---------------------------------------------------------------------------- */

typedef struct {
    CstConn *conn;
    const CstPoolRef *pool;
    const char *which, *new_name;
    CstVolRef *vol; /* the restored volume */
} Restoring;

static gboolean run_trash_restore(CstTask *task, gpointer data, GError **error)
{
    Restoring *restoring = data;

    restoring->vol = cst_conn_trash_restore(restoring->conn, restoring->pool, restoring->which,
                                            restoring->new_name, task, error);
    return restoring->vol != NULL;
}

static gboolean cmd_trash_restore(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;
    g_autoptr(CstVolRef) vol = NULL;
    Restoring restoring = {0};
    gboolean done;

    if (!cli_args_string(args, "vol", &restoring.which, error) ||
        !cli_args_string(args, "name", &restoring.new_name, error))
        return FALSE;
    pools = cli_pools_asked(ctl, args, error);
    restoring.pool = pools ? find_pool_of(ctl, pools, restoring.which, error) : NULL;
    if (!restoring.pool ||
        !cli_vol_new_name(ctl, args, "name", restoring.pool,
                          _("vol-move moves a vol to another pool"), &restoring.new_name, error))
        return FALSE;
    restoring.conn = ctl->conn;
    cli_plan(ctl, _("Would restore vol %s in pool %s"), restoring.which, restoring.pool->name);
    done = cli_run_task(ctl, _("Restoring"), run_trash_restore, &restoring, error);
    vol = restoring.vol;
    if (!done && g_error_matches(*error, CST_ERROR, CST_ERROR_VOL_EXISTS))
        cli_hint(ctl, "%s", _("--name restores it by another name"));
    return cli_outcome(ctl, done, "volume", vol ? vol->name : restoring.which,
                       _("Vol %s restored as %s"), _("Failed to restore vol %s as %s"),
                       restoring.which,
                       vol                  ? vol->name
                       : restoring.new_name ? restoring.new_name
                                            : restoring.which);
}

#define TRASHED(how)                                                     \
    {                                                                    \
        .name = "vol", .kind = CLI_OPT_STRING, .flags = (how),           \
        .help = N_("name that the vol had, or its id as in trash-list"), \
        .complete = complete_trashed                                     \
    }

static const CliOption restore_options[] = {
    TRASHED(CLI_OPT_REQUIRED),
    ACTIVE_POOL,
    NEW_NAME("name", CLI_OPT_NAMED, NULL, N_("restore it by this name instead of its own")),
    DETACH,
    {0},
};

const CliCommand cli_trash_restore_command = {
    .name = "trash-restore",
    .summary = N_("make a deleted vol a vol again"),
    .description = N_("Restore a vol from its pool's trash, with its snapshots and declarations."),
    .options = restore_options,
    .handler = cmd_trash_restore,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

/* --- trash-empty ------------------------------------------------------------------------------ */

typedef struct {
    CstConn *conn;
    const GPtrArray *pools;
    const CstPoolRef *only; /* one of @pools; NULL: all */
    const char *which;      /* NULL: all deleted volumes */
    uint64_t older_than;
    guint count;
    uint64_t bytes;
} Emptying;

static gboolean run_empty(CstTask *task, gpointer data, GError **error)
{
    Emptying *emptying = data;

    for (guint i = 0; i < emptying->pools->len; i++) {
        const CstPoolRef *pool = g_ptr_array_index(emptying->pools, i);
        uint64_t bytes;
        guint count;

        if (emptying->only && emptying->only != pool)
            continue;
        if (!cst_conn_trash_empty(emptying->conn, pool, emptying->which, emptying->older_than, task,
                                  &count, &bytes, error))
            return FALSE;
        emptying->count += count;
        emptying->bytes += bytes;
    }
    return TRUE;
}

static gboolean read_empty(const CliArgs *args, Emptying *emptying, GError **error)
{
    const char *age;

    if (!cli_args_string(args, "vol", &emptying->which, error) ||
        !cli_args_string(args, "older-than", &age, error))
        return FALSE;
    return !age || cst_units_parse_seconds(age, &emptying->older_than) ||
           cst_fail(error, CST_ERROR_USAGE,
                    _("--older-than '%s' is no duration; give a number followed by s, m, h or d"),
                    age);
}

static gboolean cmd_empty(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) pools = NULL;
    g_autofree char *size = NULL;
    Emptying emptying = {0};

    if (!read_empty(args, &emptying, error))
        return FALSE;
    pools = cli_pools_asked(ctl, args, error);
    if (!pools)
        return FALSE;
    if (emptying.which)
        emptying.only = find_pool_of(ctl, pools, emptying.which, error);
    if (emptying.which && !emptying.only)
        return FALSE;
    emptying.conn = ctl->conn;
    emptying.pools = pools;
    if (emptying.which)
        cli_plan(ctl, _("Would remove vol %s from the trash for good"), emptying.which);
    else
        cli_plan(ctl, "%s", _("Would delete the content of the trash for good"));
    if (!(emptying.which ? cli_confirm(ctl, error, _("Remove vol %s for good?"), emptying.which)
                         : cli_confirm(ctl, error, "%s", _("Remove the deleted vols for good?"))))
        return FALSE;
    if (!cli_run_task(ctl, _("Removing"), run_empty, &emptying, error))
        return cli_failed(ctl, "%s", _("Failed to empty the trash"));
    size = cli_size_text(ctl, emptying.bytes);
    cli_done(ctl, NULL, NULL,
             ngettext("%u vol removed for good, %s freed", "%u vols removed for good, %s freed",
                      emptying.count),
             emptying.count, size);
    return TRUE;
}

static const CliOption empty_options[] = {
    TRASHED(CLI_OPT_OFFERED),
    ACTIVE_POOL,
    CLI_NAMED("older-than", N_("only vols that were deleted before this time: 90m, 12h, 7d")),
    {0},
};

const CliCommand cli_trash_empty_command = {
    .name = "trash-empty",
    .summary = N_("remove deleted vols for good"),
    .description = N_(
        "Delete all vols in the trash of pools, or one of these vols, before its retention ends."),
    .options = empty_options,
    .handler = cmd_empty,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS | CLI_CMD_OURS,
};
