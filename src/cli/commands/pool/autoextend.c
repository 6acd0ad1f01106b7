/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-autoextend: shows or sets the automatic extension of thin pools and snapshots. Without an
 * option, shows the setting and each space that can be extended.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <conn/usage.h>
#include <model/pool_def.h>

#include "output/report.h"
#include "output/table.h"
#include "output/text.h"
#include "pool.h"

#define LABEL_WIDTH 15

/* --- the setting ------------------------------------------------------------------------------ */

/* Reads a size; "off" is 0. Leaves *ret_bytes unchanged if the option was not given. */
static gboolean read_size(const CliArgs *args, const char *option, uint64_t *ret_bytes,
                          GError **error)
{
    const char *word;

    if (!cli_args_string(args, option, &word, error))
        return FALSE;
    if (!word)
        return TRUE;
    if (g_str_equal(word, CLI_SETTING_OFF)) {
        *ret_bytes = 0;
        return TRUE;
    }
    return cst_units_parse(word, 1, ret_bytes, error);
}

static gboolean read_setting(const CliArgs *args, CstAutoextend *setting, GError **error)
{
    if (!cli_setting_percent(args, "threshold", CST_AUTOEXTEND_THRESHOLD_MAX, TRUE,
                             &setting->threshold, error) ||
        !cli_setting_percent(args, "step", CST_AUTOEXTEND_STEP_MAX, FALSE, &setting->step, error) ||
        !read_size(args, "maximum", &setting->maximum, error) ||
        !read_size(args, "reserve", &setting->reserve, error))
        return FALSE;
    if (setting->threshold == 0 && (cli_args_has(args, "step") || cli_args_has(args, "maximum") ||
                                    cli_args_has(args, "reserve")))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("without a threshold there is no extension: set --threshold as well"));
    if (setting->threshold == 0)
        *setting = (CstAutoextend){0};
    return TRUE;
}

static gboolean set_autoextend(CliCtl *ctl, const CstPoolRef *pool, const CstPoolDef *def,
                               GError **error)
{
    g_autoptr(CstPoolDef) kept = NULL;

    cli_plan(ctl, _("Would set the automatic extension of pool %s"), pool->name);
    kept = cli_pool_define_setting(ctl, pool, def, error);
    if (!kept)
        return cli_failed(ctl, _("Failed to set the automatic extension of pool %s"), pool->name);
    if (kept->autoextend.threshold != def->autoextend.threshold)
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("the server of pool '%s' has no automatic extension"), pool->name);
    cli_done(ctl, "pool", pool->name, _("Automatic extension of pool %s set"), pool->name);
    return TRUE;
}

/* --- the spaces ------------------------------------------------------------------------------- */

static const CliColumn setting_columns[] = {
    {N_("Threshold:"), "threshold", CLI_CELL_PERCENT, N_("off"), 0},
    {N_("Step:"), "step", CLI_CELL_PERCENT, NULL, 0},
    {N_("Maximum:"), "maximum", CLI_CELL_SIZE, NULL, 0},
    {N_("Reserve:"), "reserve", CLI_CELL_SIZE, NULL, 0},
    {N_("Problem:"), "problem", CLI_CELL_TEXT, NULL, 0},
};

static const CliColumn space_columns[] = {
    {N_("Space:"), "space", CLI_CELL_WORD, N_("unknown"), 0},
    {N_("Name:"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("Size:"), "size", CLI_CELL_SIZE, NULL, 0},
    {N_("Use:"), "use_percent", CLI_CELL_PERCENT, "-", 0},
    {"", "used", CLI_CELL_SIZE, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Extended by:"), "extended_by", CLI_CELL_TEXT, NULL, 0},
};

/* Returns the name of the program that extends a space; NULL: it is not extended. */
static const char *extending_program(const CstAutoextend *setting, const CstGrowth *growth)
{
    if (growth->kind == CST_GROWTH_GROUP)
        return NULL;
    if (growth->by_system)
        return "dmeventd";
    return setting->threshold ? "cisternd" : NULL;
}

static gboolean print_spaces(CliCtl *ctl, const CstPoolRef *pool, const CstAutoextend *setting,
                             GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(setting_columns, G_N_ELEMENTS(setting_columns));
    CliTable *spaces = cli_table_new(space_columns, G_N_ELEMENTS(space_columns));
    g_autofree char *problem = NULL;
    g_autoptr(GPtrArray) growths = NULL;

    cli_table_attach(table, "spaces", spaces);
    growths = cst_conn_pool_growths(ctl->conn, pool, &problem, error);
    if (!growths)
        return FALSE;
    cli_table_add_percent(table, setting->threshold, setting->threshold ? 100 : 0);
    cli_table_add_percent(table, setting->step ? setting->step : CST_AUTOEXTEND_STEP,
                          setting->threshold ? 100 : 0);
    cli_table_add_known_size(table, setting->maximum > 0, setting->maximum);
    cli_table_add_known_size(table, setting->threshold > 0, setting->reserve);
    cli_table_add_text(table, problem);
    for (guint i = 0; i < growths->len; i++) {
        const CstGrowth *growth = g_ptr_array_index(growths, i);

        cli_table_add_word(spaces, cst_growth_kind_word((int)growth->kind));
        cli_table_add_text(spaces, growth->label);
        cli_table_add_size(spaces, growth->size);
        cli_table_add_percent(spaces, growth->used, growth->size);
        cli_table_add_size(spaces, growth->used);
        cli_table_add_text(spaces, extending_program(setting, growth));
    }
    cli_table_print_listing(ctl, table, "autoextend", LABEL_WIDTH);
    return TRUE;
}

static gboolean cmd_autoextend(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autoptr(CstPoolDef) def = pool ? cli_pool_definition(ctl, pool, error) : NULL;

    if (!def || !read_setting(args, &def->autoextend, error))
        return FALSE;
    if (cli_args_has(args, "threshold") || cli_args_has(args, "step") ||
        cli_args_has(args, "maximum") || cli_args_has(args, "reserve"))
        return set_autoextend(ctl, pool, def, error);
    return print_spaces(ctl, pool, &def->autoextend, error);
}

static const CliOption autoextend_options[] = {
    CLI_POOL_OPTION(cli_complete_pools),
    {.name = "threshold",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("percentage of use from which on a space is extended, or off"),
     .complete = cli_complete_off},
    {.name = "step",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("percentage of its size that an extension adds (default 20)")},
    {.name = "maximum",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("size up to which a space is extended, or off"),
     .complete = cli_complete_off},
    {.name = "reserve",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("space of the volume group that stays free")},
    {0},
};

const CliCommand cli_pool_autoextend_command = {
    .name = "pool-autoextend",
    .summary = N_("show or set the automatic extension of thin pools and snapshots"),
    .description =
        N_("Have the daemon extend the metadata and the data of the pool's thin pools, and its "
           "classic snapshots, when their use reaches the threshold. The setting is a part of the "
           "pool's definition, and holds at once. A space that dmeventd extends is left to "
           "dmeventd. Without an option, show the setting and the spaces."),
    .options = autoextend_options,
    .handler = cmd_autoextend,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
