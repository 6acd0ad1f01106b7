/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup-mount: serves a volume of a backup over NBD, read-only, while the command runs. The volume
 * is not restored: a client receives the chunks that it reads, each verified.
 */
#include "backup.h"

#include <unistd.h>

#include <nbd/server.h>

#include "commands/serving.h"
#include "output/progress.h"
#include "output/report.h"

typedef struct {
    CstBlob *blob;
    const char *name;
    const CstVolServe *how;
    const char *uri;
} Mount;

static void mount_report_serving(CliCtl *ctl, gpointer data)
{
    const Mount *mount = data;

    cli_serving_say(ctl, mount->name, mount->uri);
}

static gboolean run_backup_mount(CstTask *task, gpointer data, GError **error)
{
    const Mount *mount = data;
    const CstNbdExport export = {.name = mount->name, .blob = mount->blob, .exclusive = TRUE};
    const CstNbdPlace place = {.socket = mount->how->socket,
                               .owner = geteuid(),
                               .host = mount->how->host,
                               .port = mount->how->port,
                               .psk_file = mount->how->psk_file,
                               .certificates = mount->how->certificates};

    return cst_nbd_serve(&export, &place, task, error);
}

static gboolean cmd_mount(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(CliServing) place = {0};
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(CstBackup) backup = NULL;
    g_autoptr(CstBlob) blob = NULL;
    g_autofree char *uri = NULL;
    const CstBackupVolume *volume;
    Mount mount;

    if (!cli_repo_check_words(args, error) || !cli_serving_read(ctl, &place, args, error))
        return FALSE;
    backup = cli_repo_backup(ctl, args, &repo, error);
    volume = backup ? cli_backup_volume(args, backup, error) : NULL;
    blob = volume ? cst_backup_open(repo, volume, error) : NULL;
    if (!blob)
        return FALSE;
    uri = cli_serving_uri(&place);
    mount = (Mount){blob, volume->name, &place.how, uri};
    return cli_outcome(
        ctl, cli_run_service(ctl, run_backup_mount, mount_report_serving, &mount, error), "uri",
        uri, _("Vol %s is served no more"), _("Failed to serve vol %s"), volume->name);
}

static const CliOption mount_options[] = {
    REPO, BACKUP, BACKUP_VOL, CLI_SERVING_OPTIONS, REPO_OPTIONS, {0},
};

const CliCommand cli_backup_mount_command = {
    .name = "backup-mount",
    .summary = N_("serve a vol of a backup by NBD, read only"),
    .description =
        N_("Export a vol of a backup over NBD without restoring it, for QEMU, qemu-img, nbdcopy "
           "and other clients. The export ends when the command is interrupted."),
    .options = mount_options,
    .handler = cmd_mount,
    .flags = CLI_CMD_OURS,
};
