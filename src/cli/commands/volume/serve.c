/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-serve: serves a volume over NBD while the command runs, or with --detach while the daemon's
 * job runs. The address is printed first, as a URI for QEMU, qemu-img and nbdcopy.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "commands/serving.h"
#include "options.h"
#include "output/progress.h"
#include "output/report.h"

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    const CstVolServe *how;
    const char *name, *uri;
} Serving;

static void vol_report_serving(CliCtl *ctl, gpointer data)
{
    const Serving *serving = data;

    cli_serving_say(ctl, serving->name, serving->uri);
}

static gboolean run_serve(CstTask *task, gpointer data, GError **error)
{
    const Serving *serving = data;

    return cst_conn_vol_serve(serving->conn, serving->vol, serving->how, task, error);
}

#define LOOK_US 50000 /* interval between two queries of a detached job */

/*
 * Wait for the detached job @id. Return: TRUE if it listens; FALSE if it has ended, and job-info
 * shows its error.
 */
static gboolean job_listens(CstConn *conn, uint64_t id)
{
    for (;;) {
        g_autoptr(CstJobInfo) job = cst_conn_job_info(conn, id, NULL);

        if (!job || (job->state != CST_JOB_RUNNING && job->state != CST_JOB_WAITING))
            return FALSE;
        if (job->total > 0)
            return TRUE;
        g_usleep(LOOK_US);
    }
}

static gboolean cmd_serve(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(CliServing) place = {0};
    Serving serving = {.how = &place.how};
    g_autoptr(CstVolRef) vol = NULL;
    g_autofree char *uri = NULL;
    const char *name;
    gboolean done;

    vol = cli_vol(ctl, args, "pool", &name, error);
    if (!vol || !cli_args_string(args, "snapshot", &place.how.snapshot, error) ||
        !cli_serving_read(ctl, &place, args, error))
        return FALSE;
    serving.conn = ctl->conn;
    serving.vol = vol;
    place.how.read_only = place.how.snapshot || cli_args_has(args, "read-only");
    place.how.force_share = cli_args_has(args, "force-share");
    uri = cli_serving_uri(&place);
    cli_plan(ctl, _("Would serve vol %s at %s"), name, uri);
    serving.name = name;
    serving.uri = uri;
    done = cli_run_service(ctl, run_serve, vol_report_serving, &serving, error);
    if (ctl->detached && job_listens(ctl->conn, ctl->detached))
        vol_report_serving(ctl, &serving);
    return cli_outcome(ctl, done, "uri", uri, _("Vol %s is served no more"),
                       _("Failed to serve vol %s"), name);
}

static const CliOption serve_options[] = {
    VOL,
    POOL,
    CLI_NAMED("snapshot", N_("export this snapshot, read only")),
    CLI_SWITCH("read-only", N_("refuse writes")),
    CLI_SERVING_OPTIONS,
    {.name = "force-share",
     .kind = CLI_OPT_BOOL,
     .letter = 'U',
     .help = N_("read a volume that another program is writing to, too")},
    DETACH,
    {0},
};

const CliCommand cli_vol_serve_command = {
    .name = "vol-serve",
    .summary = N_("serve a vol to other programs by NBD"),
    .description = N_("Export the guest-visible content of a vol of any pool and format over NBD, "
                      "for QEMU, qemu-img, nbdcopy and other clients, until the command is "
                      "interrupted or its job cancelled. A writable export locks the vol."),
    .options = serve_options,
    .handler = cmd_serve,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
