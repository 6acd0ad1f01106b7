/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backup-list and backup-info: the content of a repository. */
#include "backup.h"

#include <string.h>

#include <base/error.h>

#include "output/sheet.h"
#include "output/text.h"
#include "output/view.h"
#include "seen.h"

/* --- backup-list ------------------------------------------------------------------------------ */

static const CliColumn columns[] = {
    {N_("Id"), "short_id", CLI_CELL_TEXT, NULL, 0},
    {N_("Whole id"), "id", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Time"), "time", CLI_CELL_TIME, "-", 0},
    {N_("Host"), "host", CLI_CELL_TEXT, "-", 0},
    {N_("Vols"), "volumes", CLI_CELL_TEXT, "-", 0},
    {N_("Size"), "size", CLI_CELL_SIZE, "-", 0},
    {N_("Data"), "data", CLI_CELL_SIZE, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Read"), "read", CLI_CELL_SIZE, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Taken"), "taken", CLI_CELL_SIZE, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Added"), "stored", CLI_CELL_SIZE, "-", 0},
    {N_("Tags"), "tags", CLI_CELL_TEXT, "-", 0},
    {N_("Together"), "together", CLI_CELL_BOOL, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("One moment"), "one_moment", CLI_CELL_BOOL, NULL, CLI_COLUMN_JSON_ONLY},
};

static char *backup_volume_names(const CstBackup *backup)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];

        g_string_append_printf(names, "%s%s/%s", i > 0 ? "," : "", volume->pool, volume->name);
    }
    return g_string_free(names, FALSE);
}

CstBackupVolume cli_backup_sum(const CstBackup *backup)
{
    CstBackupVolume sum = {0};

    for (guint i = 0; i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];

        sum.size += volume->size;
        sum.data += volume->data;
        sum.read += volume->read;
        sum.taken += volume->taken;
        sum.stored += volume->stored;
    }
    return sum;
}

static void add_backup(CliTable *table, const CstBackup *backup)
{
    g_autofree char *names = backup_volume_names(backup);
    g_autofree char *tags = g_strjoinv(",", backup->tags);
    char short_id[CLI_BACKUP_SHORT + 1];
    CstBackupVolume sum = cli_backup_sum(backup);

    g_strlcpy(short_id, backup->id, sizeof(short_id));
    cli_table_add_text(table, short_id);
    cli_table_add_text(table, backup->id);
    cli_table_add_time(table, backup->time_us / G_USEC_PER_SEC);
    cli_table_add_text(table, *backup->host ? backup->host : NULL);
    cli_table_add_text(table, names);
    cli_table_add_size(table, sum.size);
    cli_table_add_size(table, sum.data);
    cli_table_add_size(table, sum.read);
    cli_table_add_size(table, sum.taken);
    cli_table_add_size(table, sum.stored);
    cli_table_add_text(table, *tags ? tags : NULL);
    cli_table_add_bool(table, backup->moment != CST_BACKUP_APART);
    cli_table_add_bool(table, cli_backup_one_moment(backup));
}

static gboolean has_volume(const CstBackup *backup, const char *name)
{
    g_autoptr(GError) why = NULL;

    return !name || cst_backup_volume(backup, name, &why) ||
           cst_error_code(why) != CST_ERROR_NO_VOL;
}

/* List all readable backups, even if the repository is damaged. */
static gboolean cmd_backup_list(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) backups = NULL;
    g_autoptr(CstRepo) repo = NULL;
    g_auto(CliView) view = {0};
    const char *vol;

    if (!cli_view_read(&view, args, columns, G_N_ELEMENTS(columns), NULL, error) ||
        !cli_args_string(args, "vol", &vol, error))
        return FALSE;
    repo = cli_repo(ctl, args, error);
    if (repo)
        backup_seen_warn(ctl, repo);
    backups = repo ? cst_repo_backups(repo, damaged, error) : NULL;
    if (!backups)
        return FALSE;
    for (guint i = 0; i < backups->len; i++)
        if (has_volume(backups->pdata[i], vol))
            add_backup(table, backups->pdata[i]);
    cli_view_print(ctl, &view, table, "backups");
    for (guint i = 0; i < damaged->len; i++)
        cli_warn(ctl, _("warning: %s\n"), (const char *)damaged->pdata[i]);
    return TRUE;
}

static void complete_backup_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(columns, G_N_ELEMENTS(columns), words);
}

static const CliOption list_options[] = {
    REPO,
    CLI_NAMED("vol", N_("only backups of this volume (NAME or POOL/NAME)")),
    CLI_VIEW_OPTIONS(complete_backup_columns),
    REPO_OPTIONS,
    {0},
};

const CliCommand cli_backup_list_command = {
    .name = "backup-list",
    .summary = N_("list backups"),
    .description = N_("List the backups of a repository, oldest first."),
    .options = list_options,
    .handler = cmd_backup_list,
    .flags = CLI_CMD_OURS,
};

/* --- backup-info ------------------------------------------------------------------------------ */

static const CliColumn volume_columns[] = {
    {N_("Pool"), "pool", CLI_CELL_TEXT, "-", 0},
    {N_("Name"), "name", CLI_CELL_TEXT, "-", 0},
    {N_("Format"), "format", CLI_CELL_TEXT, "-", 0},
    {N_("Size"), "size", CLI_CELL_SIZE, "-", 0},
    {N_("Data"), "data", CLI_CELL_SIZE, "-", 0},
    {N_("Read"), "read", CLI_CELL_SIZE, "-", 0},
    {N_("Taken"), "taken", CLI_CELL_SIZE, "-", 0},
    {N_("From"), "base", CLI_CELL_TEXT, "-", 0},
    {N_("Added"), "stored", CLI_CELL_SIZE, "-", 0},
    {N_("Consistency"), "consistency", CLI_CELL_TEXT, "-", 0},
    {N_("Reason"), "reason", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Domain"), "domain", CLI_CELL_TEXT, "-", 0},
    {N_("Snapshot"), "snapshot", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Tags"), "tags", CLI_CELL_LIST, "-", CLI_COLUMN_JSON_ONLY},
    {N_("Note"), "note", CLI_CELL_TEXT, "-", CLI_COLUMN_JSON_ONLY},
};

/* Return: an abbreviated id, or the complete one for JSON; NULL: no id. */
static char *id_text(const CliCtl *ctl, const char *id)
{
    return *id ? g_strndup(id, ctl->settings.json ? strlen(id) : CLI_BACKUP_SHORT) : NULL;
}

/* Return: the name of the machine whose disk the volume is, borrowed; NULL: no machine. */
static const char *machine_name(const CstBackup *backup, const CstBackupVolume *volume)
{
    const CstBackupMachine *machine =
        volume->machine > 0 ? backup->machines->pdata[volume->machine - 1] : NULL;

    return machine ? machine->name : NULL;
}

CliTable *cli_backup_volumes(const CliCtl *ctl, const CstBackup *backup)
{
    CliTable *table = cli_table_new(volume_columns, G_N_ELEMENTS(volume_columns));

    for (guint i = 0; i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];
        g_autofree char *base = id_text(ctl, volume->base);

        cli_table_add_text(table, volume->pool);
        cli_table_add_text(table, volume->name);
        cli_table_add_text(table, *volume->format ? volume->format : NULL);
        cli_table_add_size(table, volume->size);
        cli_table_add_size(table, volume->data);
        cli_table_add_size(table, volume->read);
        cli_table_add_size(table, volume->taken);
        cli_table_add_text(table, base);
        cli_table_add_size(table, volume->stored);
        cli_table_add_text(table, *volume->consistency ? volume->consistency : NULL);
        cli_table_add_text(table, *volume->reason ? volume->reason : NULL);
        cli_table_add_text(table, machine_name(backup, volume));
        cli_table_add_text(table, *volume->snapshot ? volume->snapshot : NULL);
        cli_table_add_list(table, *volume->tags ? volume->tags : NULL);
        cli_table_add_text(table, *volume->note ? volume->note : NULL);
    }
    return table;
}

gboolean cli_backup_one_moment(const CstBackup *backup)
{
    return backup->moment == CST_BACKUP_ONE_STEP ||
           (backup->moment == CST_BACKUP_IN_TURN && backup->volumes->len == 1);
}

static char *backup_point_in_time_text(const CstBackup *backup)
{
    if (cli_backup_one_moment(backup))
        return g_strdup(_("yes"));
    if (backup->moment == CST_BACKUP_APART)
        return g_strdup(_("no"));
    if (backup->span_us == 0)
        return g_strdup(_("no: their snapshots were made one after the other"));
    return g_strdup_printf(_("no: their snapshots were made one after the other, within %.3f s"),
                           (double)backup->span_us / G_USEC_PER_SEC);
}

/* Prints the definition of machine @name, which is a name or a UUID. */
static gboolean print_definition(CliCtl *ctl, const CstBackup *backup, const char *name,
                                 GError **error)
{
    for (guint i = 0; i < backup->machines->len; i++) {
        const CstBackupMachine *machine = backup->machines->pdata[i];

        if (strcmp(machine->name, name) == 0 || strcmp(machine->uuid, name) == 0) {
            cli_print(ctl, "%s\n", machine->document);
            return TRUE;
        }
    }
    return cst_fail(error, CST_ERROR_NOT_FOUND,
                    _("backup '%.8s' has no domain '%s'; backup-info without --definition lists "
                      "its domains"),
                    backup->id, name);
}

static gboolean cmd_backup_info(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(CstBackup) backup = NULL;
    const char *definition;
    g_autoptr(CliTable) table = NULL;
    g_auto(CliSheet) sheet = {0};
    g_autofree char *time = NULL;
    g_autofree char *tags = NULL;
    g_autofree char *moment = NULL;

    if (!cli_args_string(args, "definition", &definition, error))
        return FALSE;
    backup = cli_repo_backup(ctl, args, &repo, error);
    if (!backup)
        return FALSE;
    if (definition)
        return print_definition(ctl, backup, definition, error);
    time = ctl->settings.json ? cli_json_time(backup->time_us / G_USEC_PER_SEC)
                              : cli_time_text(backup->time_us / G_USEC_PER_SEC);
    tags = g_strjoinv(",", backup->tags);
    moment = backup_point_in_time_text(backup);
    table = cli_backup_volumes(ctl, backup);
    {
        const CliFact facts[] = {
            cli_fact_text("id", N_("id"), backup->id),
            cli_fact_text("time", N_("time"), time),
            cli_fact_text("host", N_("host"), *backup->host ? backup->host : NULL),
            cli_fact_text("tags", N_("tags"), *tags ? tags : NULL),
            cli_fact_text("moment", N_("vols at one moment"), moment),
            cli_fact_bool("together", NULL, TRUE, backup->moment != CST_BACKUP_APART),
            cli_fact_bool("one_moment", NULL, TRUE, cli_backup_one_moment(backup)),
            cli_fact_number("span_us", NULL, backup->span_us > 0, backup->span_us),
        };

        cli_sheet_begin(&sheet, ctl);
        cli_sheet_add(&sheet, facts, G_N_ELEMENTS(facts));
        cli_sheet_add_table(&sheet, "volumes", table);
        cli_sheet_end(&sheet);
    }
    return TRUE;
}

static const CliOption info_options[] = {
    REPO,
    BACKUP,
    CLI_NAMED("definition", N_("print the definition of this domain: libvirt's XML")),
    REPO_OPTIONS,
    {0},
};

const CliCommand cli_backup_info_command = {
    .name = "backup-info",
    .summary = N_("content of a backup"),
    .description = N_("Show a backup: when it was made, and its vols."),
    .options = info_options,
    .handler = cmd_backup_info,
    .flags = CLI_CMD_OURS,
};
