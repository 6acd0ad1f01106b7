/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-snapshot: lists, creates, applies and deletes internal snapshots of an image, one action in
 * each run. The engine makes each change atomically.
 */
#include "image.h"

#include <base/error.h>
#include <base/i18n.h>
#include <image/snapshot.h>

#include "options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"

typedef gboolean (*ChangeFunc)(CstImage *image, const char *name, CstTask *task, GError **error);

/** An action on a snapshot, and the option that selects it. */
typedef struct {
    const char *option;
    /* Texts have the arguments snapshot and image. */
    const char *question; /**< asked if data is lost; NULL: no data is lost */
    const char *plan, *done;
    ChangeFunc change;
} Action;

static const Action actions[] = {
    {"create", NULL, N_("Would take snapshot %s of image %s"), N_("Snapshot %s of image %s taken"),
     cst_image_snapshot_create},
    {"apply", N_("Revert to snapshot %s? The present content of image %s is lost."),
     N_("Would revert to snapshot %s of image %s"), N_("Reverted to snapshot %s of image %s"),
     cst_image_snapshot_revert},
    {"delete", N_("Delete snapshot %s of image %s?"), N_("Would delete snapshot %s of image %s"),
     N_("Snapshot %s of image %s deleted"), cst_image_snapshot_delete},
};

typedef struct {
    const Action *action;
    const char *name;
    CstImage *image;
} Change;

static gboolean run_snapshot_change(CstTask *task, gpointer data, GError **error)
{
    Change *change = data;

    return change->action->change(change->image, change->name, task, error) &&
           cst_image_flush(change->image, error);
}

/* The image is closed before a question, so that it is not locked while the user answers. */
static GPtrArray *read_snapshots(CliCtl *ctl, const CliArgs *args, const char *path, GError **error)
{
    const CstImageFormat *format = NULL;
    g_autoptr(CstBlob) blob = cli_image_open(ctl, args, path, "format", FALSE, &format, error);
    g_autoptr(CstImage) image = blob ? cst_image_open(blob, format, 0, NULL, error) : NULL;

    return image ? cst_image_snapshot_list(image, error) : NULL;
}

/* Check that the snapshot exists, before a question about it. */
static gboolean check_image_snapshot(CliCtl *ctl, const CliArgs *args, const char *path,
                                     const char *name, GError **error)
{
    g_autoptr(GPtrArray) snapshots = read_snapshots(ctl, args, path, error);

    for (guint i = 0; snapshots && i < snapshots->len; i++) {
        const CstImageSnapshot *snapshot = snapshots->pdata[i];

        if (g_str_equal(snapshot->name, name) || g_str_equal(snapshot->id, name))
            return TRUE;
    }
    return snapshots &&
           cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' has no snapshot '%s'"), path, name);
}

static gboolean list_image_snapshots(CliCtl *ctl, const CliArgs *args, const char *path,
                                     GError **error)
{
    g_autoptr(GPtrArray) snapshots = read_snapshots(ctl, args, path, error);
    g_autoptr(CliTable) table = NULL;

    if (!snapshots)
        return FALSE;
    table = cli_image_snapshot_table(snapshots);
    cli_table_print(ctl, table, "snapshots");
    return TRUE;
}

/** Get the requested action. NULL without an error: list the snapshots. */
static gboolean find_action(const CliArgs *args, const Action **ret_action, GError **error)
{
    unsigned asked = cli_args_has(args, "list");

    *ret_action = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
        if (cli_args_has(args, actions[i].option)) {
            *ret_action = &actions[i];
            asked++;
        }
    if (asked > 1)
        return cst_fail(error, CST_ERROR_USAGE, "%s",
                        _("give one of --list, --create, --apply and --delete"));
    return TRUE;
}

static gboolean change_image_snapshot(CliCtl *ctl, const CliArgs *args, const Action *action,
                                      const char *path, GError **error)
{
    const CstChainFiles files = cli_image_files(ctl);
    Change change = {.action = action};
    g_autoptr(CstChain) chain = NULL;

    if (!cli_args_string(args, action->option, &change.name, error))
        return FALSE;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    cli_plan(ctl, _(action->plan), change.name, path);
    if (action->question && (!check_image_snapshot(ctl, args, path, change.name, error) ||
                             !cli_confirm(ctl, error, _(action->question), change.name, path)))
        return FALSE;
    chain = cli_image_open_changing(ctl, args, &files, error);
    if (!chain)
        return FALSE;
    change.image = cst_chain_image(chain);
    if (!cli_run_task(ctl, _("Working"), run_snapshot_change, &change, error))
        return FALSE;
    cli_done(ctl, "snapshot", change.name, _(action->done), change.name, path);
#pragma GCC diagnostic pop
    return TRUE;
}

static gboolean cmd_snapshot(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const Action *action;
    const char *path = NULL;

    if (!cli_args_string(args, "file", &path, error) || !find_action(args, &action, error))
        return FALSE;
    return action ? change_image_snapshot(ctl, args, action, path, error)
                  : list_image_snapshots(ctl, args, path, error);
}

static const CliOption snapshot_options[] = {
    IMAGE_FILE,
    SOURCE_FORMAT,
    {.name = "list", .kind = CLI_OPT_BOOL, .letter = 'l', .help = N_("list them; the default")},
    SNAPSHOT_NAME("create", 'c', N_("take one of this name")),
    SNAPSHOT_NAME("apply", 'a', N_("revert the image to the snapshot")),
    SNAPSHOT_NAME("delete", 'd', N_("remove the one of this name")),
    DATA_FILE,
    {0},
};

const CliCommand cli_image_snapshot_command = {
    .name = "image-snapshot",
    .summary = N_("list, take, revert to and delete snapshots inside an image"),
    .description = N_(
        "For qcow2 images that no machine uses. Reverting and deleting lose data and ask before, "
        "or need --yes."),
    .options = snapshot_options,
    .handler = cmd_snapshot,
    .flags = OURS | CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};
