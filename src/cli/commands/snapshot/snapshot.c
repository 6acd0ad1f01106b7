/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands for snapshots of volumes in any kind of pool. Commands that change a snapshot differ
 * only in their texts and in one call. The common steps (lookup, plan, question, work, report) are
 * implemented once.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <conn/tags.h>

#include "commands/commands.h"
#include "commands/volume/options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/table.h"
#include "output/text.h"
#include "output/view.h"
#include "snapshot.h"

#define NAME CLI_REQUIRED("name", N_("snapshot name"), .complete = cli_complete_vol_snapshots)

/* Queries the tags. */
#define NEEDS_TAGS CLI_COLUMN_NEEDS

static const CliColumn columns[] = {
    {N_("Name"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("Created"), "created", CLI_CELL_TIME, "-", 0},
    {N_("Capacity"), "capacity", CLI_CELL_SIZE, NULL, 0},
    {N_("Own data"), "allocation", CLI_CELL_SIZE, "-", 0},
    {N_("Limit"), "limit", CLI_CELL_SIZE, "-", 0},
    {N_("Used"), "used_percent", CLI_CELL_PERCENT, "-", 0},
    {N_("Kept by"), "kept_by", CLI_CELL_TEXT, NULL, 0},
    {N_("State"), "state", CLI_CELL_WORD, NULL, 0},
    {N_("Consistency"), "consistency", CLI_CELL_TEXT, "-", 0},
    {N_("Machine state"), "machine_state", CLI_CELL_SIZE, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Problem"), "problem", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Reason"), "consistency_reason", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Tags"), "tags", CLI_CELL_LIST, NULL, NEEDS_TAGS | CLI_COLUMN_ON_REQUEST},
    {N_("Note"), "note", CLI_CELL_TEXT, NULL, NEEDS_TAGS | CLI_COLUMN_ON_REQUEST},
};

/* @rows: of cst_conn_vol_tagged(); NULL: not queried. */
static void add_snapshot(CliTable *table, const CstSnapshot *snapshot, const GPtrArray *rows)
{
    const CstTagged *tagged = rows ? cst_conn_tagged_find(rows, snapshot->name) : NULL;
    g_autofree char *tags = cst_tagged_text(tagged);

    cli_table_add_text(table, snapshot->name);
    cli_table_add_time(table, snapshot->created);
    cli_table_add_size(table, snapshot->capacity);
    cli_table_add_known_size(table, snapshot->allocation != CST_SNAPSHOT_UNKNOWN,
                             snapshot->allocation);
    cli_table_add_known_size(table, snapshot->limit != 0, snapshot->limit);
    cli_table_add_percent(table, snapshot->allocation,
                          snapshot->allocation == CST_SNAPSHOT_UNKNOWN ? 0 : snapshot->limit);
    cli_table_add_text(table, snapshot->kept_by);
    cli_table_add_word(table, snapshot->problem ? N_("lost") : N_("good"));
    cli_table_add_text(table, snapshot->consistency == CST_CONSISTENCY_UNKNOWN
                                  ? NULL
                                  : cst_consistency_word(snapshot->consistency));
    cli_table_add_known_size(table, snapshot->machine_state != 0, snapshot->machine_state);
    cli_table_add_text(table, snapshot->problem);
    cli_table_add_text(table, snapshot->consistency_reason);
    cli_table_add_list(table, tags);
    cli_table_add_text(table, tagged ? tagged->note : NULL);
}

static void warn_of_problem(CliCtl *ctl, const CstSnapshot *snapshot)
{
    if (!snapshot->problem || ctl->settings.json)
        return;
    cli_warn(ctl, _("warning: snapshot '%s': %s\n"), snapshot->name, snapshot->problem);
}

static gboolean cmd_snapshot_list(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    g_autoptr(GPtrArray) snapshots = NULL, tagged = NULL;
    g_autoptr(CstVolRef) vol = NULL;
    g_auto(CliView) view = {0};

    if (!cli_view_read(&view, args, columns, G_N_ELEMENTS(columns), NULL, error))
        return FALSE;
    vol = cli_vol(ctl, args, "pool", NULL, error);
    if (!vol)
        return FALSE;
    snapshots = cst_conn_snapshot_list(ctl->conn, vol, error);
    if (!snapshots)
        return cli_failed(ctl, _("Failed to list the snapshots of vol %s"), vol->name);
    if (view.needs & NEEDS_TAGS)
        tagged = cst_conn_vol_tagged(ctl->conn, vol, error);
    if ((view.needs & NEEDS_TAGS) && !tagged)
        return cli_failed(ctl, _("Failed to list the snapshots of vol %s"), vol->name);
    for (guint i = 0; i < snapshots->len; i++)
        add_snapshot(table, snapshots->pdata[i], tagged);
    cli_view_print(ctl, &view, table, "snapshots");
    for (guint i = 0; i < snapshots->len; i++)
        warn_of_problem(ctl, snapshots->pdata[i]);
    return TRUE;
}

static void complete_snapshot_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(columns, G_N_ELEMENTS(columns), words);
}

static const CliOption list_options[] = {
    VOL, POOL, CLI_VIEW_OPTIONS(complete_snapshot_columns), {0}};

static const CliCommand list_command = {
    .name = "snap-list",
    .summary = N_("list the snapshots of a volume"),
    .description = "",
    .options = list_options,
    .handler = cmd_snapshot_list,
    .flags = CLI_CMD_OURS,
};

static const CstSnapshot *find_listed_snapshot(const GPtrArray *snapshots, const CstVolRef *vol,
                                               const char *name, GError **error)
{
    const CstSnapshot *snapshot = cst_snapshot_find(snapshots, name);

    if (!snapshot)
        cst_fail(error, CST_ERROR_NOT_FOUND, _("volume '%s' has no snapshot '%s'"), vol->name,
                 name);
    return snapshot;
}

static gboolean cmd_snapshot_info(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    g_autoptr(GPtrArray) snapshots = NULL, tagged = NULL;
    const CstSnapshot *snapshot;
    const char *name;

    if (!vol || !cli_args_string(args, "name", &name, error))
        return FALSE;
    snapshots = cst_conn_snapshot_list(ctl->conn, vol, error);
    snapshot = snapshots ? find_listed_snapshot(snapshots, vol, name, error) : NULL;
    if (!snapshot)
        return cli_failed(ctl, _("Failed to get snapshot %s of vol %s"), name, vol->name);
    /* A server without tags shows no tags. */
    tagged = cst_conn_vol_tagged(ctl->conn, vol, NULL);
    add_snapshot(table, snapshot, tagged);
    cli_table_print_listing(ctl, table, "snapshot", 15);
    warn_of_problem(ctl, snapshot);
    return TRUE;
}

static const CliOption name_options[] = {VOL, NAME, POOL, {0}};

static const CliCommand info_command = {
    .name = "snap-info",
    .summary = N_("show one snapshot"),
    .description = "",
    .options = name_options,
    .handler = cmd_snapshot_info,
    .flags = CLI_CMD_OURS,
};

/* --- changes ---------------------------------------------------------------------------------- */

/** The parameters of one change. */
typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    const char *name;
    const char *other; /**< the third word; NULL: not used */
    GStrv lost;        /**< snapshots that the change removes; NULL: not queried */
} Change;

static void snapshot_change_clear(Change *change)
{
    g_strfreev(change->lost);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Change, snapshot_change_clear)

/**
 * The call and the texts of a change. All texts have the arguments snapshot, volume and third word.
 */
typedef struct {
    const char *other;     /**< option of the third word; may be NULL */
    gboolean other_is_vol; /**< the third word names a new volume of the same pool */
    const char *question;  /**< asked before data is lost; NULL: no data is lost */
    /**
     * Asked instead if the change removes snapshots, which are the third argument; NULL: no such
     * question.
     */
    const char *question_lost;
    const char *plan, *label, *done, *failed;
    CliTaskFunc run;
} ChangeKind;

static gboolean read_new_vol(CliCtl *ctl, const CliArgs *args, const ChangeKind *kind,
                             Change *change, GError **error)
{
    g_autoptr(CstPoolRef) pool = cst_conn_pool_of_vol(ctl->conn, change->vol, error);

    return pool && cli_vol_new_name(ctl, args, kind->other, pool,
                                    _("vol-move moves the new vol to another pool later"),
                                    &change->other, error);
}

static gboolean read_change(CliCtl *ctl, const CliArgs *args, const ChangeKind *kind,
                            Change *change, GError **error)
{
    if (!cli_args_string(args, "name", &change->name, error))
        return FALSE;
    if (kind->other_is_vol)
        return read_new_vol(ctl, args, kind, change, error);
    return !kind->other || cli_args_string(args, kind->other, &change->other, error);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

/* Query the snapshots that the change removes. An older server removes no snapshots. */
static gboolean find_lost(Change *change, GError **error)
{
    GError *why = NULL;

    change->lost = cst_conn_snapshot_revert_loses(change->conn, change->vol, change->name, &why);
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_SUPPORT))
        g_clear_error(&why);
    if (why)
        g_propagate_error(error, why);
    return why == NULL;
}

/* Confirm the loss of data and snapshots. */
static gboolean confirm_loss(CliCtl *ctl, const ChangeKind *kind, Change *change, GError **error)
{
    g_autofree char *names = NULL;

    if (!kind->question)
        return TRUE;
    if (!cli_vol_check_snapshot(ctl, change->vol, change->name, error) ||
        (kind->question_lost && !find_lost(change, error)))
        return cli_failed(ctl, _(kind->failed), change->name, change->vol->name);
    names = change->lost ? g_strjoinv(", ", change->lost) : NULL;
    if (!names || !*names)
        return cli_confirm(ctl, error, _(kind->question), change->name, change->vol->name);
    cli_plan(ctl, _("Would revert to snapshot %s of vol %s, and remove these snapshots: %s"),
             change->name, change->vol->name, names);
    return cli_confirm(ctl, error, _(kind->question_lost), change->name, change->vol->name, names);
}

static gboolean make_change(CliCtl *ctl, const ChangeKind *kind, Change *change, GError **error)
{
    cli_plan(ctl, _(kind->plan), change->name, change->vol->name, change->other);
    if (!confirm_loss(ctl, kind, change, error))
        return FALSE;
    return cli_outcome(ctl, cli_run_task(ctl, _(kind->label), kind->run, change, error), "snapshot",
                       change->name, _(kind->done), _(kind->failed), change->name,
                       change->vol->name, change->other);
}

static gboolean change_vol_snapshot(CliCtl *ctl, const CliArgs *args, const ChangeKind *kind,
                                    GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    g_auto(Change) change = {.conn = ctl->conn, .vol = vol};

    return vol && read_change(ctl, args, kind, &change, error) &&
           make_change(ctl, kind, &change, error);
}

#pragma GCC diagnostic pop

static gboolean run_snapshot_revert(CstTask *task, gpointer data, GError **error)
{
    const Change *c = data;

    return cst_conn_snapshot_revert(c->conn, c->vol, c->name, c->lost, task, error);
}

static const ChangeKind revert_kind = {
    .question = N_("Content newer than snapshot %s of vol %s is lost. Go on?"),
    .question_lost = N_(
        "Content newer than snapshot %s of vol %s is lost, and so are these snapshots: %s. Go on?"),
    .plan = N_("Would revert to snapshot %s of vol %s"),
    .label = N_("Reverting"),
    .done = N_("Reverted to snapshot %s of vol %s"),
    .failed = N_("Failed to revert to snapshot %s of vol %s"),
    .run = run_snapshot_revert,
};

static gboolean cmd_revert(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return change_vol_snapshot(ctl, args, &revert_kind, error);
}

static const CliOption change_options[] = {VOL, NAME, POOL, DETACH, {0}};

static const CliCommand revert_command = {
    .name = "snap-revert",
    .summary = N_("take a volume back to a snapshot"),
    .description = N_("Restore the content that the volume had when the snapshot was taken. Later "
                      "changes are lost, unless another snapshot has them. ZFS removes newer "
                      "snapshots; the question names them."),
    .options = change_options,
    .handler = cmd_revert,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS | CLI_CMD_OURS,
};

static gboolean run_snapshot_delete(CstTask *task, gpointer data, GError **error)
{
    const Change *c = data;

    return cst_conn_snapshot_delete(c->conn, c->vol, c->name, task, error);
}

static const ChangeKind delete_kind = {
    .question = N_("Delete snapshot %s of vol %s?"),
    .plan = N_("Would delete snapshot %s of vol %s"),
    .label = N_("Deleting snapshot"),
    .done = N_("Snapshot %s of vol %s deleted"),
    .failed = N_("Failed to delete snapshot %s of vol %s"),
    .run = run_snapshot_delete,
};

static void snapshot_arg_name(gconstpointer thing, const char **ret_pool, const char **ret_name)
{
    *ret_name = thing;
}

static gboolean delete_named_snapshot(CliCtl *ctl, gconstpointer thing, gpointer data,
                                      GError **error)
{
    Change change = {.conn = ctl->conn, .vol = data, .name = thing};

    return make_change(ctl, &delete_kind, &change, error);
}

static const CliEach delete_each = {
    .list = "snapshots",
    .kind = "snapshot",
    .question = N_("Delete these %u snapshots: %s?"),
    .name = snapshot_arg_name,
    .run = delete_named_snapshot,
};

/*
 * Return: TRUE if <vol> is POOL/VOL, so that a plain word in the place of the pool is a snapshot.
 */
static gboolean names_its_pool(const CliArgs *args)
{
    const char *word;

    return cli_args_is_plain(args, "pool") && cli_args_string(args, "vol", &word, NULL) &&
           *word != '/' && strchr(word, '/');
}

static gboolean cmd_snapshot_delete(CliCtl *ctl, const CliArgs *args, GError **error)
{
    gboolean no_pool = names_its_pool(args);
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, no_pool ? NULL : "pool", NULL, error);
    g_autoptr(GPtrArray) names = vol ? cli_each_word(args, "name", error) : NULL;
    const char *word;

    if (!names || (no_pool && !cli_args_string(args, "pool", &word, error)))
        return FALSE;
    if (no_pool)
        cli_each_add(names, 1, word);
    return cli_each(ctl, &delete_each, names, vol, error);
}

static const CliOption delete_options[] = {
    VOL, NAME, POOL, DETACH, CLI_FURTHER(N_("more of its snapshots"), cli_complete_vol_snapshots),
    {0},
};

static const CliCommand delete_command = {
    .name = "snap-delete",
    .summary = N_("delete a snapshot"),
    .description = N_(
        "Delete a snapshot. The content of the volume and the other snapshots stay as they are."),
    .options = delete_options,
    .handler = cmd_snapshot_delete,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS | CLI_CMD_OURS,
};

static gboolean run_snapshot_rename(CstTask *task, gpointer data, GError **error)
{
    const Change *c = data;

    return cst_conn_snapshot_rename(c->conn, c->vol, c->name, c->other, error);
}

static const ChangeKind rename_kind = {
    .other = "newname",
    .plan = N_("Would rename snapshot %s of vol %s to %s"),
    .label = N_("Renaming snapshot"),
    .done = N_("Snapshot %s of vol %s renamed to %s"),
    .failed = N_("Failed to rename snapshot %s of vol %s to %s"),
    .run = run_snapshot_rename,
};

static gboolean cmd_snapshot_rename(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return change_vol_snapshot(ctl, args, &rename_kind, error);
}

static const CliOption rename_options[] = {
    VOL, NAME, CLI_REQUIRED("newname", N_("its new name"), ), POOL, {0},
};

static const CliCommand rename_command = {
    .name = "snap-rename",
    .summary = N_("give a snapshot another name"),
    .description = "",
    .options = rename_options,
    .handler = cmd_snapshot_rename,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

static gboolean run_clone(CstTask *task, gpointer data, GError **error)
{
    const Change *c = data;

    return cst_conn_snapshot_clone(c->conn, c->vol, c->name, c->other, task, error);
}

static const ChangeKind clone_kind = {
    .other = "newvol",
    .other_is_vol = TRUE,
    .plan = N_("Would make a copy of snapshot %s of vol %s: vol %s"),
    .label = N_("Cloning"),
    .done = N_("Snapshot %s of vol %s cloned to vol %s"),
    .failed = N_("Failed to clone snapshot %s of vol %s to vol %s"),
    .run = run_clone,
};

static gboolean cmd_snapshot_clone(CliCtl *ctl, const CliArgs *args, GError **error)
{
    return change_vol_snapshot(ctl, args, &clone_kind, error);
}

static const CliOption clone_options[] = {
    VOL,  NAME,       NEW_NAME("newvol", CLI_OPT_REQUIRED, NULL, N_("name of the new volume")),
    POOL, RATE_LIMIT, DETACH,
    {0},
};

static const CliCommand clone_command = {
    .name = "snap-clone",
    .summary = N_("make a volume of a snapshot"),
    .description =
        N_("Create a new volume with the content of a snapshot, in the same pool and format."),
    .options = clone_options,
    .handler = cmd_snapshot_clone,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

const CliCommand *const cli_snap_commands[] = {
    &clone_command, &cli_snap_create, &delete_command, &info_command,
    &list_command,  &rename_command,  &revert_command, NULL,
};
