/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vol-protect and vol-unprotect: set and clear the protection of a volume against deletion. */
#include <base/error.h>
#include <base/i18n.h>

#include "commands/pool/pool.h"
#include "options.h"
#include "output/progress.h"
#include "output/report.h"

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    gboolean on;
} Protection;

static gboolean run_protect(CstTask *task, gpointer data, GError **error)
{
    const Protection *protection = data;

    return cst_conn_vol_protect(protection->conn, protection->vol, protection->on, task, error);
}

/*
 * Find the volume that @word names. A missing volume may still be protected, which prevents the
 * deletion of its pool. With --pool, such a volume is addressed by pool and name.
 */
static CstVolRef *find_marked(CliCtl *ctl, const CliArgs *args, const char *word, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(CstPoolRef) pool = NULL;
    CstVolRef *vol = cli_vol_named(ctl, args, word, "pool", &why);

    if (!vol && cli_args_has(args, "pool") && g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
        pool = cli_pool(ctl, args, "pool", NULL, NULL);
    if (pool) {
        g_clear_pointer(&ctl->headline, g_free);
        vol = g_new0(CstVolRef, 1);
        vol->pool = g_strdup(pool->name);
        vol->name = g_strdup(word);
    } else if (!vol) {
        g_propagate_error(error, g_steal_pointer(&why));
    }
    return vol;
}

static gboolean protect_one(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error)
{
    const CliVolArg *arg = thing;
    gboolean on = *(const gboolean *)data;
    Protection protection = {ctl->conn, arg->vol, on};

    cli_plan(ctl, on ? _("Would protect vol %s") : _("Would cease to protect vol %s"), arg->typed);
    return cli_outcome(ctl, cli_run_task(ctl, _("Protecting"), run_protect, &protection, error),
                       "volume", arg->vol->name,
                       on ? _("Vol %s is protected") : _("Vol %s may be deleted"),
                       _("Failed to change the protection of vol %s"), arg->typed);
}

static const CliEach protect_each = {
    .list = "volumes", .kind = "volume", .name = cli_vol_arg_name, .run = protect_one};

static gboolean protect_vols(CliCtl *ctl, const CliArgs *args, gboolean on, GError **error)
{
    g_autoptr(GPtrArray) vols = cli_vols(ctl, args, on ? NULL : find_marked, error);

    return vols && cli_each(ctl, &protect_each, vols, &on, error);
}

static gboolean cmd_protect(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return protect_vols(ctl, args, TRUE, error);
}

static gboolean cmd_unprotect(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return protect_vols(ctl, args, FALSE, error);
}

static const CliOption protect_options[] = {VOL, POOL, FURTHER_VOLS, {0}};

const CliCommand cli_vol_protect_command = {
    .name = "vol-protect",
    .summary = N_("refuse the deletion of a vol"),
    .description =
        N_("Cistern refuses to delete the vol until vol-unprotect, for every client, and refuses "
           "to delete its pool. The vol can be written to, wiped and resized as before."),
    .options = protect_options,
    .handler = cmd_protect,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

const CliCommand cli_vol_unprotect_command = {
    .name = "vol-unprotect",
    .summary = N_("allow the deletion of a vol"),
    .description = "",
    .options = protect_options,
    .handler = cmd_unprotect,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
