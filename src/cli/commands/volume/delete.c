/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-delete: one volume as in virsh, or several. All volumes are found before the first one is
 * deleted. One question is asked for all. If one cannot be deleted, the command still deletes the
 * other ones.
 *
 * virsh's second plain word is the pool. A pool name has no '/', so a word with '/' is another
 * volume. Each further word is a volume too. After `rm`, which is not a virsh command, each word is
 * a volume.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <model/pool_def.h>

#include "options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"
#include "volume.h"

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    unsigned flags;
} Deletion;

static gboolean run_vol_delete(CstTask *task, gpointer data, GError **error)
{
    const Deletion *deletion = data;

    return cst_conn_vol_delete(deletion->conn, deletion->vol, deletion->flags, task, error);
}

/* Return: TRUE if the pool keeps deleted volumes. FALSE also if the pool cannot be queried. */
static gboolean uses_trash(const Deletion *deletion)
{
    g_autoptr(CstPoolRef) pool = cst_conn_pool_by_name(deletion->conn, deletion->vol->pool, NULL);
    g_autofree char *xml =
        pool ? cst_conn_pool_xml(deletion->conn, pool, CST_STORAGE_XML_INACTIVE, NULL) : NULL;
    g_autoptr(CstPoolDef) def = xml ? cst_pool_def_parse(xml, 0, NULL) : NULL;

    return def && def->trash_days > 0 && !(deletion->flags & CST_VOL_DELETE_AT_ONCE);
}

static gboolean delete_vol(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error)
{
    const CliVolArg *arg = thing;
    Deletion deletion = {ctl->conn, arg->vol, *(const unsigned *)data};
    gboolean done;

    cli_plan(ctl, _("Would delete vol %s"), arg->typed);
    if (!cli_confirm(ctl, error, _("Delete vol %s?"), arg->typed))
        return FALSE;
    done = cli_run_task(ctl, _("Deleting"), run_vol_delete, &deletion, error);
    /* A volume in the trash needs a record, which needs space. */
    if (!done && g_error_matches(*error, CST_ERROR, CST_ERROR_NO_SPACE) && uses_trash(&deletion))
        cli_hint(ctl, "%s", _("--no-trash deletes it for good, without a record"));
    return cli_outcome(ctl, done, "volume", arg->vol->name, _("Vol %s deleted"),
                       _("Failed to delete vol %s"), arg->typed);
}

static const CliEach delete_each = {
    .list = "volumes",
    .kind = "volume",
    .question = N_("Delete these %u vols: %s?"),
    .name = cli_vol_arg_name,
    .run = delete_vol,
};

static gboolean cmd_vol_delete(CliCtl *ctl, const CliArgs *args, GError **error)
{
    unsigned flags = (cli_args_has(args, "delete-snapshots") ? CST_VOL_DELETE_WITH_SNAPSHOTS : 0) |
                     (cli_args_has(args, "no-trash") ? CST_VOL_DELETE_AT_ONCE : 0);
    g_autoptr(GPtrArray) vols = cli_vols(ctl, args, NULL, error);

    return vols && cli_each(ctl, &delete_each, vols, &flags, error);
}

static const CliOption delete_options[] = {
    VOL,
    POOL,
    CLI_SWITCH("delete-snapshots", N_("delete snapshots associated with volume (must be supported "
                                      "by storage driver)")),
    CLI_SWITCH("no-trash", N_("remove it for good, also where the pool keeps deleted vols")),
    DETACH,
    FURTHER_VOLS,
    {0},
};

const CliCommand cli_vol_delete_command = {
    .name = "vol-delete",
    .alias = "rm",
    .summary = N_("delete a vol"),
    .description = N_("Delete a given vol."),
    .options = delete_options,
    .handler = cmd_vol_delete,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};
