/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vol-rename: changes the name of a volume. */
#include <base/i18n.h>

#include "options.h"
#include "output/progress.h"
#include "output/report.h"

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    const char *new_name;
} Renaming;

static gboolean run_vol_rename(CstTask *task, gpointer data, GError **error)
{
    const Renaming *renaming = data;

    return cst_conn_vol_rename(renaming->conn, renaming->vol, renaming->new_name, task, error);
}

/* Like mv(1), `mv` moves the volume if the new name has another pool. */
static gboolean move_vol(CliCtl *ctl, const CliArgs *args, const CstVolRef *vol, const char *name,
                         GError **error)
{
    g_auto(CliNewVol) place = {0};

    return cli_vol_new(ctl, args, "newname", NULL, &place, error) &&
           cli_vol_move(ctl, vol, name, place.pool, &(CstVolMove){.name = place.name}, error);
}

/* Return: TRUE if `mv` was given POOL/NAME with a pool other than that of @vol. */
static gboolean leaves_pool(CliCtl *ctl, const CliArgs *args, const CstVolRef *vol)
{
    g_auto(CliNewVol) place = {0};

    return args->by_alias && cli_vol_new(ctl, args, "newname", NULL, &place, NULL) && place.pool &&
           !g_str_equal(place.pool->name, vol->pool);
}

static gboolean cmd_vol_rename(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name = "", *new_name;
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", &name, error);
    g_autoptr(CstPoolRef) pool = vol ? cst_conn_pool_of_vol(ctl->conn, vol, error) : NULL;
    Renaming renaming = {ctl->conn, vol, NULL};

    if (!pool)
        return FALSE;
    if (leaves_pool(ctl, args, vol))
        return move_vol(ctl, args, vol, name, error);
    if (!cli_vol_new_name(ctl, args, "newname", pool, _("vol-move moves a vol to another pool"),
                          &new_name, error))
        return FALSE;
    renaming.new_name = new_name;
    cli_plan(ctl, _("Would rename vol %s to %s"), name, new_name);
    return cli_outcome(ctl, cli_run_task(ctl, _("Renaming"), run_vol_rename, &renaming, error),
                       "volume", new_name, _("Vol %s renamed to %s"),
                       _("Failed to rename vol %s to %s"), name, new_name);
}

static const CliOption rename_options[] = {
    VOL, NEW_NAME("newname", CLI_OPT_REQUIRED, NULL, N_("new name of the vol")), POOL, DETACH, {0}};

const CliCommand cli_vol_rename_command = {
    .name = "vol-rename",
    .alias = "mv",
    .summary = N_("give a vol another name"),
    .description = N_("The vol keeps its snapshots and declarations. Images based on it refer to "
                      "the new name afterwards, and each chain is valid at every point in time; if "
                      "one image cannot be changed, no image is. Definitions of domains are not "
                      "changed: the vol must not be in use, and the domains must be edited."),
    .options = rename_options,
    .handler = cmd_vol_rename,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
