/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pool-autostart, pool-destroy and pool-refresh, for one or several pools. */
#include <base/error.h>
#include <base/i18n.h>

#include "output/report.h"
#include "pool.h"

static gboolean autostart_one(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error)
{
    const CliPoolArg *arg = thing;
    gboolean enable = !cli_args_has(ctl->current, "disable");

    cli_plan(ctl,
             enable ? _("Would mark pool %s as autostarted")
                    : _("Would unmark pool %s as autostarted"),
             arg->typed);
    return cli_outcome(ctl, cst_conn_pool_set_autostart(ctl->conn, arg->pool, enable, error),
                       "pool", arg->pool->name,
                       enable ? _("Pool %s marked as autostarted")
                              : _("Pool %s unmarked as autostarted"),
                       enable ? _("failed to mark pool %s as autostarted")
                              : _("failed to unmark pool %s as autostarted"),
                       arg->typed);
}

static const CliEach autostart_each = {
    .list = "pools", .kind = "pool", .name = cli_pool_arg_name, .run = autostart_one};

static gboolean cmd_autostart(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return cli_pool_each(ctl, args, &autostart_each, NULL, error);
}

static const CliOption autostart_options[] = {
    CLI_POOL_OPTION(cli_complete_pools),
    CLI_SWITCH("disable", N_("disable autostarting")),
    CLI_FURTHER_POOLS(cli_complete_pools),
    {0},
};

const CliCommand cli_pool_autostart_command = {
    .name = "pool-autostart",
    .summary = N_("autostart a pool"),
    .description = N_("Configure a pool to be automatically started at boot."),
    .options = autostart_options,
    .handler = cmd_autostart,
    .flags = CLI_CMD_MUTATES,
};

static gboolean destroy_one(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error)
{
    const CliPoolArg *arg = thing;

    cli_plan(ctl, _("Would stop pool %s"), arg->typed);
    return cli_outcome(ctl, cst_conn_pool_stop(ctl->conn, arg->pool, error), "pool",
                       arg->pool->name, _("Pool %s destroyed"), _("Failed to destroy pool %s"),
                       arg->typed);
}

static const CliEach destroy_each = {
    .list = "pools", .kind = "pool", .name = cli_pool_arg_name, .run = destroy_one};

static gboolean cmd_destroy(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return cli_pool_each(ctl, args, &destroy_each, NULL, error);
}

static const CliOption active_pools_options[] = {
    CLI_POOL_OPTION(cli_complete_active_pools),
    CLI_FURTHER_POOLS(cli_complete_active_pools),
    {0},
};

const CliCommand cli_pool_destroy_command = {
    .name = "pool-destroy",
    .summary = N_("destroy (stop) a pool"),
    .description = N_("Forcefully stop a given pool. Raw data in the pool is untouched"),
    .options = active_pools_options,
    .handler = cmd_destroy,
    .flags = CLI_CMD_MUTATES,
};

static gboolean refresh_one(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error)
{
    const CliPoolArg *arg = thing;

    return cli_outcome(ctl, cst_conn_pool_refresh(ctl->conn, arg->pool, 0, error), "pool",
                       arg->pool->name, _("Pool %s refreshed"), _("Failed to refresh pool %s"),
                       arg->typed);
}

static const CliEach refresh_each = {
    .list = "pools", .kind = "pool", .name = cli_pool_arg_name, .run = refresh_one};

static gboolean cmd_refresh(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return cli_pool_each(ctl, args, &refresh_each, NULL, error);
}

const CliCommand cli_pool_refresh_command = {
    .name = "pool-refresh",
    .summary = N_("refresh a pool"),
    .description = N_("Refresh a given pool."),
    .options = active_pools_options,
    .handler = cmd_refresh,
};
