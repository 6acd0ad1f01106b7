/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-trust: the administrator's declaration of a volume's format and references. This file also
 * has the problems of a volume, which vol-info, vol-check and vol-upload print.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "options.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"

/* --- problems -------------------------------------------------------------------------------- */

GPtrArray *cli_vol_problems(CliCtl *ctl, const CstVolRef *vol)
{
    GPtrArray *problems = cst_conn_vol_problems(ctl->conn, vol, NULL);

    return problems ? problems : g_ptr_array_new();
}

void cli_vol_warn(CliCtl *ctl, const char *name, const GPtrArray *problems)
{
    for (guint i = 0; i < problems->len; i++)
        cli_warn(ctl, _("warning: volume '%s': %s\n"), name,
                 (const char *)g_ptr_array_index(problems, i));
}

/* --- vol-trust ------------------------------------------------------------------------------- */

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    CstVolDeclare how;
} Declaring;

static gboolean run_declare(CstTask *task, gpointer data, GError **error)
{
    Declaring *declaring = data;

    return cst_conn_vol_declare(declaring->conn, declaring->vol, &declaring->how, task, error);
}

static gboolean cmd_vol_trust(CliCtl *ctl, const CliArgs *args, GError **error)
{
    gboolean revoke = cli_args_has(args, "revoke");
    const char *name;
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", &name, error);
    Declaring declaring = {.conn = ctl->conn, .vol = vol};

    if (!vol || !cli_args_string(args, "format", &declaring.how.format, error))
        return FALSE;
    declaring.how.flags = revoke ? CST_VOL_DECLARE_NOTHING : CST_VOL_DECLARE_CONTENT;
    cli_plan(ctl,
             revoke ? _("Would follow no reference of vol %s")
                    : _("Would declare the references of vol %s"),
             name);
    if (!cli_run_task(ctl, _("Declaring"), run_declare, &declaring, error))
        return FALSE;
    cli_done(ctl, "volume", vol->name,
             revoke ? _("No reference of vol %s is followed")
                    : _("The references of vol %s are declared"),
             name);
    return TRUE;
}

static const CliOption trust_options[] = {
    VOL,
    POOL,
    CONTENT_FORMAT,
    CLI_SWITCH("revoke", N_("drop the declarations of the vol's references")),
    {0},
};

const CliCommand cli_vol_trust_command = {
    .name = "vol-trust",
    .summary = N_("declare the references of a vol's image"),
    .description =
        N_("Content that was uploaded, or lies in a directory that other users can write, may name "
           "any file as its backing store or data file. vol-info shows such a reference, and it is "
           "not followed until it is declared here. With --format the volume has that format from "
           "now on, whatever its content. A volume on a device (a LUN, a logical volume, an RBD "
           "image) is an image only if it is declared so; its references are not followed."),
    .options = trust_options,
    .handler = cmd_vol_trust,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

gboolean cli_vol_declare(CliCtl *ctl, const CstVolRef *vol, const CstVolDeclare *how,
                         GError **error)
{
    Declaring declaring = {.conn = ctl->conn, .vol = vol, .how = *how};

    return cli_run_task(ctl, _("Declaring"), run_declare, &declaring, error);
}
