/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the steps of a backup for each volume, and reports the result. A volume that cannot be read
 * is omitted, so that the images of one tenant do not stop the backups of other tenants. It moves
 * from ->sources to ->missing, its new snapshot is deleted, and the command ends with PARTIAL. The
 * complete backup fails on cancellation, if the repository cannot store more data, or if the only
 * volume fails.
 *
 * A command that is about to detach refuses a named volume that cannot be read. The user has
 * requested this volume and does not see the exit status of a detached command.
 */
#include "create.h"

#include <base/error.h>

#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"
#include "snapshots.h"

/* --- each volume ------------------------------------------------------------------------------ */

/*
 * Move the volume to ->missing. Takes ownership of @why. Return: FALSE if the backup cannot
 * continue.
 */
static gboolean leave_out(BackupCreate *create, guint index, GError *why, GError **error)
{
    BackupSource *source = create->sources->pdata[index];

    if ((create->writer && !cst_writer_volume_drop(create->writer)) ||
        cst_error_code(why) == CST_ERROR_CANCELLED ||
        create->sources->len + create->missing->len == 1) {
        g_propagate_error(error, why);
        return FALSE;
    }
    if (!create->ctl->headline)
        cli_failed(create->ctl, _("Failed to back up vol %s"), source->ref->name);
    if (create->checking && create->named) {
        cli_hint(create->ctl, "%s",
                 _("leave the vol out, or back up the other vols without --detach"));
        g_propagate_error(error, why);
        return FALSE;
    }
    cli_report_part(create->ctl, why);
    if (source->snapshot && !source->live)
        backup_snapshot_drop(create->ctl, source->ref, source->snapshot);
    source->failure = why;
    g_ptr_array_add(create->missing, g_ptr_array_steal_index(create->sources, index));
    if (create->sources->len > 0)
        return TRUE;
    create->ctl->reported = !create->ctl->settings.json;
    g_propagate_error(error, g_error_copy(why));
    return FALSE;
}

gboolean backup_each(BackupCreate *create, BackupStep step, GError **error)
{
    for (guint i = 0; i < create->sources->len;) {
        BackupSource *source = create->sources->pdata[i];
        GError *why = NULL;

        if ((create->grouped && source->machine != create->group) || step(create, source, &why))
            i++;
        else if (!leave_out(create, i, why, error))
            return FALSE;
    }
    return TRUE;
}

/* Return: the names of the missing volumes. The caller frees them. */
static char *missing_vols(const BackupCreate *create)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < create->missing->len; i++) {
        const CstVolRef *ref = ((const BackupSource *)create->missing->pdata[i])->ref;

        g_string_append_printf(names, "%s%s/%s", i > 0 ? ", " : "", ref->pool, ref->name);
    }
    return g_string_free(names, FALSE);
}

/* Return: the names of the missing machines; NULL: no machine is missing. The caller frees them. */
static char *missing_machines(const BackupCreate *create)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < create->machines->len; i++) {
        const BackupMachine *machine = create->machines->pdata[i];

        if (machine->failure)
            g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "",
                                   machine->domain->name);
    }
    return names->len > 0 ? g_strdup(names->str) : NULL;
}

gboolean backup_check_missing(const BackupCreate *create, const CstBackup *backup, GError **error)
{
    g_autofree char *vols = missing_vols(create);
    g_autofree char *machines = missing_machines(create);
    guint count = create->missing->len;

    if (machines && backup)
        return cst_fail(error, CST_ERROR_PARTIAL,
                        _("backup %.8s lacks these domains and vols: %s%s%s"), backup->id, machines,
                        count > 0 ? ", " : "", vols);
    if (machines)
        return cst_fail(error, CST_ERROR_PARTIAL,
                        _("the backup would lack these domains and vols: %s%s%s"), machines,
                        count > 0 ? ", " : "", vols);
    if (count == 0)
        return TRUE;
    if (!backup)
        return cst_fail(error, CST_ERROR_PARTIAL,
                        ngettext("the backup would lack %u vol: %s",
                                 "the backup would lack %u vols: %s", count),
                        count, vols);
    return cst_fail(
        error, CST_ERROR_PARTIAL,
        ngettext("backup %.8s lacks %u vol: %s", "backup %.8s lacks %u vols: %s", count),
        backup->id, count, vols);
}

/* --- the report ------------------------------------------------------------------------------- */

static const CliColumn missing_columns[] = {
    {N_("Pool"), "pool", CLI_CELL_TEXT, NULL, 0},
    {N_("Vol"), "volume", CLI_CELL_TEXT, NULL, 0},
    {N_("Problem"), "problem", CLI_CELL_TEXT, NULL, 0},
};

static void add_missing(const BackupCreate *create, CliSheet *sheet)
{
    g_autoptr(CliTable) table = cli_table_new(missing_columns, G_N_ELEMENTS(missing_columns));

    for (guint i = 0; i < create->missing->len; i++) {
        const BackupSource *source = create->missing->pdata[i];
        g_autofree char *problem = cst_error_text(source->failure);

        cli_table_add_text(table, source->ref->pool);
        cli_table_add_text(table, source->ref->name);
        cli_table_add_text(table, problem);
    }
    cli_sheet_add_table(sheet, "missing", table);
}

/* Return: the worst consistency of the volumes of a machine; UNKNOWN: not recorded for each. */
static CstConsistency machine_consistency(const CstBackup *backup, guint machine)
{
    CstConsistency worst = CST_CONSISTENCY_OFFLINE;

    for (guint i = 0; i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];
        CstConsistency consistency = CST_CONSISTENCY_UNKNOWN;

        if (volume->machine != machine + 1)
            continue;
        (void)cst_consistency_parse(volume->consistency, &consistency);
        worst = MIN(worst, consistency);
    }
    return worst;
}

static void backup_add_machine_notes(const CstBackup *backup, GPtrArray *notes)
{
    for (guint i = 0; i < backup->machines->len; i++) {
        const CstBackupMachine *machine = backup->machines->pdata[i];
        const char *word = cst_consistency_word(machine_consistency(backup, i));

        g_ptr_array_add(notes, machine->one_moment
                                   ? g_strdup_printf(_("domain %s: consistency %s, all disks of "
                                                       "one moment"),
                                                     machine->name, word)
                                   : g_strdup_printf(_("domain %s: consistency %s, disks not of "
                                                       "one moment"),
                                                     machine->name, word));
    }
}

/* The points in time of volumes that are not disks of machines. */
static void backup_add_moment_note(const CstBackup *backup, GPtrArray *notes)
{
    if (backup->volumes->len < 2 || backup->machines->len > 0)
        return;
    if (backup->moment == CST_BACKUP_ONE_STEP)
        g_ptr_array_add(notes, g_strdup(_("all vols are of one moment: their snapshots were made "
                                          "in one step")));
    if (backup->moment == CST_BACKUP_IN_TURN)
        g_ptr_array_add(notes, g_strdup_printf(_("the vols are not of one moment: their snapshots "
                                                 "were made one after the other, within %.3f s"),
                                               (double)backup->span_us / G_USEC_PER_SEC));
}

/* Return: sentences about the points in time of the volumes, and about how each was read. */
static GPtrArray *how_read(const BackupCreate *create, const CstBackup *backup)
{
    GPtrArray *notes = g_ptr_array_new_with_free_func(g_free);

    backup_add_machine_notes(backup, notes);
    backup_add_moment_note(backup, notes);
    for (guint i = 0; create->incremental && i < backup->volumes->len; i++) {
        const CstBackupVolume *volume = backup->volumes->pdata[i];
        const BackupSource *source = backup_find_source(create, volume->pool, volume->name);
        g_autofree char *read = cli_size_text(create->ctl, volume->read);
        g_autofree char *taken = cli_size_text(create->ctl, volume->taken);

        g_ptr_array_add(notes,
                        *volume->base
                            ? g_strdup_printf(_("vol %s: %s read, %s taken from backup %.8s"),
                                              volume->name, read, taken, volume->base)
                            : g_strdup_printf(_("vol %s: read whole, %s: %s"), volume->name, read,
                                              source && source->whole ? source->whole : ""));
    }
    return notes;
}

static char *created_text(const BackupCreate *create, const CstBackup *backup)
{
    CstBackupVolume sum = cli_backup_sum(backup);
    g_autofree char *size = cli_size_text(create->ctl, sum.size);
    g_autofree char *data = cli_size_text(create->ctl, sum.data);
    g_autofree char *stored = cli_size_text(create->ctl, sum.stored);

    return g_strdup_printf(ngettext("Backup %.8s of %u vol: %s, data %s, added %s",
                                    "Backup %.8s of %u vols: %s, data %s, added %s",
                                    backup->volumes->len),
                           backup->id, backup->volumes->len, size, data, stored);
}

void backup_print_created(const BackupCreate *create, const CstBackup *backup)
{
    CliCtl *ctl = create->ctl;
    g_autofree char *message = created_text(create, backup);
    g_autoptr(GPtrArray) notes = how_read(create, backup);
    g_auto(CliSheet) sheet = {0};
    const CliFact facts[] = {
        cli_fact_text("command", NULL, ctl->current->command->name),
        cli_fact_text("backup", NULL, backup->id),
        cli_fact_text("message", NULL, message),
        cli_fact_bool("one_moment", NULL, create->together, cli_backup_one_moment(backup)),
        cli_fact_number("span_us", NULL, create->together, backup->span_us),
        cli_fact_number("bytes", NULL, TRUE, cli_backup_sum(backup).size),
        cli_fact_real("seconds", cli_seconds(ctl)),
    };

    if (ctl->settings.json) {
        g_autoptr(CliTable) table = cli_backup_volumes(ctl, backup);

        cli_sheet_begin(&sheet, ctl);
        cli_sheet_add(&sheet, facts, G_N_ELEMENTS(facts));
        cli_sheet_add_table(&sheet, "volumes", table);
        add_missing(create, &sheet);
        cli_sheet_add_words(&sheet, "notes", notes);
        cli_sheet_end(&sheet);
    }
    cli_extra(ctl, "%s\n", message);
    for (guint i = 0; i < notes->len; i++)
        cli_extra(ctl, "%s\n", (const char *)notes->pdata[i]);
    cli_print_size_line(ctl, CLI_BYTES_UNKNOWN);
}
