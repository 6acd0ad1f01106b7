/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vol-tag and vol-note: the tags and the note of a volume or of one of its snapshots. */
#include <base/error.h>
#include <base/i18n.h>
#include <conn/tags.h>

#include "commands/pool/pool.h"
#include "options.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/table.h"

/* The volume, and the change of its record. */
typedef struct {
    CstConn *conn;
    CstVolRef *vol;
    const char *snapshot; /* NULL: the volume */
    CstTagChange change;
} Tagging;

static void tagging_clear(Tagging *tagging)
{
    g_clear_pointer(&tagging->vol, cst_vol_ref_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tagging, tagging_clear)

static gboolean tagging_find(Tagging *tagging, CliCtl *ctl, const CliArgs *args, GError **error)
{
    if (!cli_args_string(args, "snapshot", &tagging->snapshot, error))
        return FALSE;
    tagging->vol = cli_vol(ctl, args, "pool", NULL, error);
    tagging->conn = ctl->conn;
    return tagging->vol != NULL;
}

/* Returns the record. The caller drops *ret_rows, which owns it. NULL: no record, or an error. */
static const CstTagged *tagging_query(const Tagging *tagging, GPtrArray **ret_rows, GError **error)
{
    *ret_rows = cst_conn_vol_tagged(tagging->conn, tagging->vol, error);
    return *ret_rows ? cst_conn_tagged_find(*ret_rows, tagging->snapshot) : NULL;
}

/* Fails if the snapshot to be shown does not exist. */
static gboolean tagging_check_snapshot(const Tagging *tagging, CliCtl *ctl, GError **error)
{
    return !tagging->snapshot ||
           cli_vol_check_snapshot(ctl, tagging->vol, tagging->snapshot, error);
}

static gboolean run_tag(CstTask *task, gpointer data, GError **error)
{
    const Tagging *tagging = data;

    return cst_conn_vol_tag(tagging->conn, tagging->vol, tagging->snapshot, &tagging->change, task,
                            error);
}

void cli_complete_vol_snapshots(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, NULL);
    g_autoptr(GPtrArray) snapshots = vol ? cst_conn_snapshot_list(ctl->conn, vol, NULL) : NULL;

    for (guint i = 0; snapshots && i < snapshots->len; i++)
        g_ptr_array_add(words, g_strdup(((CstSnapshot *)snapshots->pdata[i])->name));
}

static void complete_tags(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    g_auto(Tagging) tagging = {0};
    g_autoptr(GPtrArray) rows = NULL;
    const CstTagged *tagged =
        tagging_find(&tagging, ctl, args, NULL) ? tagging_query(&tagging, &rows, NULL) : NULL;

    for (char **tag = tagged ? tagged->tags : NULL; tag && *tag; tag++)
        g_ptr_array_add(words, g_strdup(*tag));
}

#define OF_POOL_NAMED                                                          \
    {                                                                          \
        .name = "pool", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED,        \
        .help = N_("pool name or uuid"), .complete = cli_complete_active_pools \
    }
#define OF_SNAPSHOT                                                                       \
    {                                                                                     \
        .name = "snapshot", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED,               \
        .help = N_("of this snapshot of the vol"), .complete = cli_complete_vol_snapshots \
    }

/* --- vol-tag --------------------------------------------------------------------------------- */

static const CliColumn tag_columns[] = {{N_("Tag"), "tag", CLI_CELL_TEXT, NULL, 0}};

static gboolean show_tags(const Tagging *tagging, CliCtl *ctl, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(tag_columns, G_N_ELEMENTS(tag_columns));
    g_autoptr(GPtrArray) rows = NULL;
    const CstTagged *tagged;

    if (!tagging_check_snapshot(tagging, ctl, error))
        return FALSE;
    tagged = tagging_query(tagging, &rows, error);
    if (!rows)
        return cli_failed(ctl, _("Failed to list the tags of vol %s"), tagging->vol->name);
    for (char **tag = tagged ? tagged->tags : NULL; tag && *tag; tag++)
        cli_table_add_text(table, *tag);
    cli_table_print(ctl, table, "tags");
    return TRUE;
}

/* Changes the record, and reports the change of the volume or the snapshot. */
static gboolean tagging_apply(Tagging *tagging, CliCtl *ctl, GError **error)
{
    const char *name = tagging->vol->name, *snapshot = tagging->snapshot;
    gboolean note = tagging->change.sets_note;
    gboolean done;

    if (!cst_tag_change_check(&tagging->change, error))
        return FALSE;
    if (snapshot)
        cli_plan(ctl,
                 note ? _("Would change the note of snapshot %s of vol %s")
                      : _("Would change the tags of snapshot %s of vol %s"),
                 snapshot, name);
    else
        cli_plan(ctl,
                 note ? _("Would change the note of vol %s") : _("Would change the tags of vol %s"),
                 name);
    done = cli_run_task(ctl, _("Tagging"), run_tag, tagging, error);
    if (snapshot)
        return cli_outcome(ctl, done, "snapshot", snapshot,
                           note ? _("Note of snapshot %s of vol %s changed")
                                : _("Tags of snapshot %s of vol %s changed"),
                           note ? _("Failed to change the note of snapshot %s of vol %s")
                                : _("Failed to change the tags of snapshot %s of vol %s"),
                           snapshot, name);
    return cli_outcome(
        ctl, done, "volume", name, note ? _("Note of vol %s changed") : _("Tags of vol %s changed"),
        note ? _("Failed to change the note of vol %s") : _("Failed to change the tags of vol %s"),
        name);
}

/* Returns the tags to add. The caller drops the array, whose last element is NULL. */
static GPtrArray *tags_to_add(const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) add = cli_args_rest(args);

    for (guint i = 0; i < add->len; i++)
        if (!*(const char *)add->pdata[i]) {
            cst_fail(error, CST_ERROR_USAGE,
                     _("Failed to get option '%s': Option argument is empty"), "tag");
            return NULL;
        }
    g_ptr_array_add(add, NULL);
    return g_steal_pointer(&add);
}

static gboolean cmd_tag(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Tagging) tagging = {0};
    g_autoptr(GPtrArray) add = tags_to_add(args, error);
    g_auto(GStrv) remove = NULL;
    const char *list;

    if (!add || !cli_args_string(args, "remove", &list, error) ||
        !tagging_find(&tagging, ctl, args, error))
        return FALSE;
    if (!add->pdata[0] && !list && !cli_args_has(args, "clear"))
        return show_tags(&tagging, ctl, error);
    remove = g_strsplit(list ? list : "", ",", -1);
    tagging.change.add = (const char *const *)add->pdata;
    tagging.change.remove = (const char *const *)remove;
    tagging.change.clear = cli_args_has(args, "clear");
    return tagging_apply(&tagging, ctl, error);
}

static const CliOption tag_options[] = {
    VOL,
    OF_POOL_NAMED,
    OF_SNAPSHOT,
    {.name = "remove",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_LIST,
     .help = N_("tags to remove, with commas"),
     .complete = complete_tags,
     .complete_by_list = TRUE},
    CLI_SWITCH("clear", N_("remove all tags first")),
    {.name = "tag", .kind = CLI_OPT_ARGV, .help = N_("tags to add")},
    {0},
};

const CliCommand cli_vol_tag_command = {
    .name = "vol-tag",
    .summary = N_("list or change the tags of a vol"),
    .description = N_(
        "Without a tag, --remove and --clear, list the tags. Tags stay with the vol when it is "
        "renamed, moved, copied to another host, backed up, or restored from the trash. A clone "
        "has no tags. Schedules select volumes by tag:TAG, and vol-list by --filter 'tags=TAG'."),
    .options = tag_options,
    .handler = cmd_tag,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

/* --- vol-note -------------------------------------------------------------------------------- */

static gboolean show_note(const Tagging *tagging, CliCtl *ctl, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    const CstTagged *tagged;
    g_autofree char *lines = NULL;

    if (!tagging_check_snapshot(tagging, ctl, error))
        return FALSE;
    tagged = tagging_query(tagging, &rows, error);
    if (!rows)
        return cli_failed(ctl, _("Failed to get the note of vol %s"), tagging->vol->name);
    if (ctl->settings.json) {
        const CliFact fact = cli_fact_nullable("note", NULL, tagged ? tagged->note : NULL);

        cli_sheet_print(ctl, &fact, 1);
        return TRUE;
    }
    lines = tagged && tagged->note ? g_strconcat(tagged->note, "\n", NULL) : NULL;
    if (lines)
        cli_document(ctl, "note", lines);
    return TRUE;
}

static gboolean cmd_note(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(Tagging) tagging = {0};
    gboolean clear = cli_args_has(args, "clear");

    if (!cli_args_exclusive(args, "text", "clear", error) ||
        !cli_args_string(args, "text", &tagging.change.note, error) ||
        !tagging_find(&tagging, ctl, args, error))
        return FALSE;
    tagging.change.sets_note = clear || tagging.change.note;
    return tagging.change.sets_note ? tagging_apply(&tagging, ctl, error)
                                    : show_note(&tagging, ctl, error);
}

static const CliOption note_options[] = {
    VOL,         CLI_STRING("text", N_("the new note, up to 4 KiB")), OF_POOL_NAMED,
    OF_SNAPSHOT, CLI_SWITCH("clear", N_("remove the note")),          {0},
};

const CliCommand cli_vol_note_command = {
    .name = "vol-note",
    .summary = N_("show or set the note of a vol"),
    .description = N_("Without a text and --clear, print the note. It stays with the vol as its "
                      "tags do (vol-tag)."),
    .options = note_options,
    .handler = cmd_note,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
