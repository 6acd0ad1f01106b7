/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-thresholds: shows or sets the percentages of use from which on a pool is reported. Without
 * an option, compares the latest sample of the pool with them.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <conn/usage.h>
#include <model/pool_def.h>

#include "output/report.h"
#include "output/table.h"
#include "output/text.h"
#include "pool.h"

static gboolean set_thresholds(CliCtl *ctl, const CstPoolRef *pool, const CstPoolDef *def,
                               GError **error)
{
    g_autoptr(CstPoolDef) kept = NULL;

    if (def->thresholds.critical && def->thresholds.warn > def->thresholds.critical)
        return cst_fail(error, CST_ERROR_USAGE, _("--warn must not be above --critical"));
    cli_plan(ctl, _("Would set the thresholds of pool %s"), pool->name);
    kept = cli_pool_define_setting(ctl, pool, def, error);
    if (!kept)
        return cli_failed(ctl, _("Failed to set the thresholds of pool %s"), pool->name);
    if (kept->thresholds.warn != def->thresholds.warn ||
        kept->thresholds.critical != def->thresholds.critical)
        return cst_fail(error, CST_ERROR_NO_SUPPORT, _("the server of pool '%s' has no thresholds"),
                        pool->name);
    cli_done(ctl, "pool", pool->name, _("Thresholds of pool %s set"), pool->name);
    return TRUE;
}

/* --- the levels ------------------------------------------------------------------------------- */

static const CliColumn level_columns[] = {
    {N_("Space"), "space", CLI_CELL_WORD, NULL, 0},
    {N_("Use"), "use_percent", CLI_CELL_PERCENT, "-", 0},
    {N_("Warn"), "warn", CLI_CELL_NUMBER, "-", 0},
    {N_("Critical"), "critical", CLI_CELL_NUMBER, "-", 0},
    {N_("Level"), "level", CLI_CELL_WORD, N_("unknown"), 0},
};

/* Returns the latest point of the last day; its time is 0 without one. */
static gboolean read_latest(CliCtl *ctl, const CstPoolRef *pool, CstUsagePoint *ret_point,
                            GError **error)
{
    int64_t since = g_get_real_time() / G_USEC_PER_SEC - CST_USAGE_DAILY;
    g_autoptr(GArray) points = cst_conn_pool_usage(ctl->conn, pool, CST_USAGE_FINE, since, error);

    *ret_point = (CstUsagePoint){0};
    if (points && points->len > 0)
        *ret_point = g_array_index(points, CstUsagePoint, points->len - 1);
    return points != NULL;
}

static gboolean print_levels(CliCtl *ctl, const CstPoolRef *pool, const CstThresholds *thresholds,
                             GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(level_columns, G_N_ELEMENTS(level_columns));
    CstUsagePoint point;

    if (!read_latest(ctl, pool, &point, error))
        return FALSE;
    for (int space = 0; space < CST_USAGE_SPACE_LAST; space++) {
        uint64_t used, size = cst_usage_size(&point, (CstUsageSpace)space, &used);
        CstUsageLevel level = cst_usage_level(thresholds, &point, (CstUsageSpace)space);

        if (space != CST_USAGE_SPACE && size == 0)
            continue;
        cli_table_add_word(table, cst_usage_space_word(space));
        cli_table_add_percent(table, used, size);
        cli_table_add_known_number(table, thresholds->warn > 0, thresholds->warn);
        cli_table_add_known_number(table, thresholds->critical > 0, thresholds->critical);
        cli_table_add_word(table, size > 0 ? cst_usage_level_word((int)level) : NULL);
    }
    cli_table_print(ctl, table, "thresholds");
    return TRUE;
}

static gboolean cmd_thresholds(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autoptr(CstPoolDef) def = pool ? cli_pool_definition(ctl, pool, error) : NULL;

    if (!def || !cli_setting_percent(args, "warn", 100, TRUE, &def->thresholds.warn, error) ||
        !cli_setting_percent(args, "critical", 100, TRUE, &def->thresholds.critical, error))
        return FALSE;
    if (cli_args_has(args, "warn") || cli_args_has(args, "critical"))
        return set_thresholds(ctl, pool, def, error);
    return print_levels(ctl, pool, &def->thresholds, error);
}

static const CliOption thresholds_options[] = {
    CLI_POOL_OPTION(cli_complete_pools),
    {.name = "warn",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("percentage of use of the level warn, or off"),
     .complete = cli_complete_off},
    {.name = "critical",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("percentage of use of the level critical, or off"),
     .complete = cli_complete_off},
    {0},
};

const CliCommand cli_pool_thresholds_command = {
    .name = "pool-thresholds",
    .summary = N_("show or set from which use on a pool is reported"),
    .description =
        N_("Set the percentages of use from which on the daemon logs a warning about a pool: about "
           "its space, and about the data and the metadata of its thin pools. The setting is a "
           "part of the pool's definition, and holds at once. Without an option, compare the "
           "latest sample of the pool with the thresholds."),
    .options = thresholds_options,
    .handler = cmd_thresholds,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
