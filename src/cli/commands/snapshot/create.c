/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snap-create: a snapshot of one or several volumes. The service suspends the domain that has them
 * as disks. The result shows the consistency that was verified, and for how long the guest stood.
 */
#include "snapshot.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "commands/consistency.h"
#include "commands/qmp.h"
#include "commands/volume/domains.h"
#include "commands/volume/options.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"

#define MS 1000 /* microseconds */

/* The snapshots to create, and the result. */
typedef struct {
    CstConn *conn;
    const char *machine; /* whose disks the volumes are; NULL: the command line names them */
    GPtrArray *vols;     /* of CstVolRef *, owned */
    char *qmp;           /* socket of the monitor of a QEMU, owned; NULL: without --qmp */
    CstSnapshotRequest request;
    CstSnapshotSet set;
} SnapCreate;

static void snap_create_clear(SnapCreate *create)
{
    g_clear_pointer(&create->vols, g_ptr_array_unref);
    cst_snapshot_set_clear(&create->set);
    g_free(create->qmp);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SnapCreate, snap_create_clear)

/* --- the request ------------------------------------------------------------------------------ */

static gboolean pause_read(const CliArgs *args, uint32_t *ret_ms, GError **error)
{
    const char *word = NULL;

    if (!cli_args_string(args, "max-pause", &word, error))
        return FALSE;
    return !word || cli_pause_parse(word, ret_ms, error);
}

/* Adds the volume of the command line, or the disks of the machine. */
static gboolean vols_read_first(CliCtl *ctl, const CliArgs *args, SnapCreate *create,
                                GError **error)
{
    CstVolRef *vol;

    if (!cli_args_string(args, "machine", &create->machine, error) ||
        !cli_args_exclusive(args, "vol", "machine", error) ||
        !cli_args_exclusive(args, "qmp", "machine", error))
        return FALSE;
    if (create->machine)
        return cli_domain_vols(ctl, create->machine, create->vols, NULL, error);
    vol = cli_vol(ctl, args, "pool", NULL, error);
    if (vol)
        g_ptr_array_add(create->vols, vol);
    return vol != NULL;
}

static gboolean vols_read(CliCtl *ctl, const CliArgs *args, SnapCreate *create, GError **error)
{
    const char *with = NULL;
    g_auto(GStrv) names = NULL;
    CstVolRef *vol;

    create->vols = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_ref_free);
    if (!vols_read_first(ctl, args, create, error) || !cli_args_string(args, "with", &with, error))
        return FALSE;
    names = g_strsplit(with ? with : "", ",", -1);
    for (char **name = names; *name; name++) {
        vol = cli_vol_named(ctl, args, *name, "pool", error);
        if (!vol)
            return FALSE;
        g_ptr_array_add(create->vols, vol);
    }
    create->conn = ctl->conn;
    return TRUE;
}

static gboolean request_read(CliCtl *ctl, const CliArgs *args, CstSnapshotRequest *request,
                             GError **error)
{
    const char *limit = NULL;

    return cli_args_string(args, "name", &request->name, error) &&
           cli_consistency_read(args, &request->minimum, error) &&
           pause_read(args, &request->max_pause_ms, error) &&
           cli_args_string(args, "size", &limit, error) &&
           (!limit || cli_vol_size(ctl, limit, &request->limit, error));
}

/* --- the result ------------------------------------------------------------------------------- */

/*
 * Prints the consistency and the length of the pause, unless no process had the volumes open. @qmp:
 * a QEMU without a domain was suspended.
 */
static void snap_print_pause(CliCtl *ctl, const CstSnapshotSet *set, gboolean qmp)
{
    if (set->consistency == CST_CONSISTENCY_OFFLINE || set->consistency == CST_CONSISTENCY_UNKNOWN)
        return;
    cli_consistency_print(ctl, set->consistency, set->reason);
    if (set->domain && set->paused_us > 0)
        cli_extra(ctl, _("Domain %s was suspended for %.0f ms\n"), set->domain,
                  (double)set->paused_us / MS);
    else if (set->domain)
        cli_extra(ctl, _("Domain %s was paused already, and stays paused\n"), set->domain);
    else if (qmp && set->paused_us > 0)
        cli_extra(ctl, _("The guest was suspended for %.0f ms\n"), (double)set->paused_us / MS);
    else if (qmp)
        cli_extra(ctl, _("The guest was paused already, and stays paused\n"));
}

/* Returns the object of a sentence: "vol a", "2 vols" or "domain web (2 vols)". */
static char *vols_text(const SnapCreate *create)
{
    guint count = create->vols->len;

    if (create->machine)
        return g_strdup_printf(ngettext("domain %s (%u vol)", "domain %s (%u vols)", count),
                               create->machine, count);
    if (count == 1)
        return g_strdup_printf(_("vol %s"), ((const CstVolRef *)create->vols->pdata[0])->name);
    return g_strdup_printf(ngettext("%u vol", "%u vols", count), count);
}

static void snap_create_report(CliCtl *ctl, const SnapCreate *create)
{
    const CstSnapshotSet *set = &create->set;
    const char *name = create->request.name;
    g_autofree char *vols = vols_text(create);
    g_autofree char *message = g_strdup_printf(_("Snapshot %s of %s created"), name, vols);
    const gboolean paused = set->domain != NULL || create->qmp;
    const CliFact facts[] = {
        cli_fact_text("command", NULL, ctl->current->command->name),
        cli_fact_text("snapshot", NULL, name),
        cli_fact_text("message", NULL, message),
        cli_fact_text("consistency", NULL, cst_consistency_word(set->consistency)),
        cli_fact_text("reason", NULL, set->reason),
        cli_fact_bool("one_moment", NULL, TRUE, set->one_step),
        cli_fact_text("domain", NULL, set->domain),
        cli_fact_number("paused_ms", NULL, paused, set->paused_us / MS),
        cli_fact_number("frozen_ms", NULL, paused, set->frozen_us / MS),
    };

    if (ctl->plan)
        return;
    cli_sheet_print_json(ctl, ctl->out, facts, G_N_ELEMENTS(facts));
    cli_extra(ctl, "%s\n", message);
    snap_print_pause(ctl, set, create->qmp != NULL);
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean run_snapshot_create(CstTask *task, gpointer data, GError **error)
{
    SnapCreate *create = data;

    return cst_conn_snapshot_create_set(create->conn, create->vols, &create->request, task,
                                        &create->set, error);
}

static gboolean cmd_snapshot_create(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(SnapCreate) create = {0};
    g_autofree char *vols = NULL;

    if (!request_read(ctl, args, &create.request, error) ||
        !cli_qmp_read(args, &create.qmp, error) || !vols_read(ctl, args, &create, error))
        return FALSE;
    create.request.qmp = create.qmp;
    vols = vols_text(&create);
    cli_plan(ctl, _("Would take snapshot %s of %s"), create.request.name, vols);
    if (!cli_run_task(ctl, _("Taking snapshot"), run_snapshot_create, &create, error))
        return cli_failed(ctl, _("Failed to create snapshot %s of %s"), create.request.name, vols);
    snap_create_report(ctl, &create);
    return TRUE;
}

static const CliOption create_options[] = {
    {.name = "vol",
     .kind = CLI_OPT_STRING,
     .help = N_("vol name, key or path"),
     .complete = cli_complete_vols,
     .unless = "machine"},
    CLI_REQUIRED("name", N_("name of the new snapshot"), ),
    POOL,
    CLI_NAMED("size", N_("space for the differences, if snapshots have a size (LVM)")),
    {.name = "with",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_LIST,
     .help = N_("more vols of the pool, or POOL/VOL, for the same point in time"),
     .complete = cli_complete_vols,
     .complete_by_list = TRUE},
    {.name = "machine",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("instead of a vol: all disks of this domain of libvirt, at one point in time"),
     .complete = cli_complete_domains},
    CLI_QMP(N_("QMP socket of the QEMU that has the vols open, if libvirt does not manage it")),
    CLI_CONSISTENCY,
    CLI_MAX_PAUSE,
    {0},
};

const CliCommand cli_snap_create = {
    .name = "snap-create",
    .summary = N_("take a snapshot of a volume"),
    .description = N_(
        "Preserve the present content of a volume under a name. A qcow2 volume keeps its snapshots "
        "inside the image. For other volumes the pool uses shared extents (XFS, Btrfs), LVM, RBD "
        "or ZFS. A running domain of libvirt that has the volume as a disk is suspended for some "
        "milliseconds. Its file systems are frozen if its guest agent answers."),
    .options = create_options,
    .handler = cmd_snapshot_create,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
