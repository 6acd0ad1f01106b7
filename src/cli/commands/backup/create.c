/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup-create: stores the guest-visible content of volumes in a repository. With --together or
 * --snapshot, it is read from new snapshots, which are deleted after the read. With --together they
 * are created in one step if the storage supports it (together.c).
 *
 * With --incremental the snapshots remain until the next backup, which reads only the changes since
 * then (content.c). They are deleted when the manifest of that backup is written. At any point in
 * time, the newest backup of a volume, or its predecessor, has its snapshot. Snapshots of a killed
 * command are deleted by the next one.
 *
 * Machines are backed up one after the other (machines.c). A backup job of libvirt may take the
 * place of their snapshots. Then a checkpoint of libvirt remains until the next backup.
 */
#include "create.h"

#include <string.h>

#include <base/error.h>

#include "commands/consistency.h"
#include "commands/image/twin.h"
#include "commands/pool/pool.h"
#include "commands/qmp.h"
#include "commands/volume/domains.h"
#include "commands/volume/volume.h"
#include "commands/xml.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"
#include "seen.h"
#include "snapshots.h"

static void create_clear(BackupCreate *create)
{
    cst_writer_free(create->writer);
    g_clear_pointer(&create->sources, g_ptr_array_unref);
    g_clear_pointer(&create->missing, g_ptr_array_unref);
    g_clear_pointer(&create->machines, g_ptr_array_unref);
    g_clear_pointer(&create->domains, g_ptr_array_unref);
    g_clear_pointer(&create->backups, g_ptr_array_unref);
    g_free(create->snapshot);
    g_free(create->qmp);
    cst_repo_close(create->repo);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BackupCreate, create_clear)

/* --- sources ---------------------------------------------------------------------------------- */

static gboolean backup_add_pool(BackupCreate *create, const CstPoolRef *pool, GError **error)
{
    g_autoptr(GPtrArray) rows = cst_conn_vol_list(create->ctl->conn, pool, TRUE, error);

    for (guint i = 0; rows && i < rows->len; i++) {
        const CstVolRow *row = rows->pdata[i];
        g_autoptr(GError) why = NULL;

        /* A directory volume has no content. */
        if (row->info.type == CST_VOL_DIR || row->info.type == CST_VOL_NETDIR)
            continue;
        /* Ignore a volume that was deleted after the listing. */
        if (!backup_add_source(create,
                               cst_conn_vol_by_name(create->ctl->conn, pool, row->name, &why), NULL,
                               &why) &&
            cst_error_code(why) != CST_ERROR_NO_VOL) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
    }
    return rows != NULL;
}

static gboolean backup_find_sources(BackupCreate *create, const CliArgs *args, GError **error)
{
    CliCtl *ctl = create->ctl;
    g_autoptr(GPtrArray) names = cli_args_rest(args);
    g_autoptr(CstPoolRef) pool = NULL;

    create->sources = g_ptr_array_new_with_free_func(backup_source_free);
    create->missing = g_ptr_array_new_with_free_func(backup_source_free);
    create->machines = g_ptr_array_new_with_free_func(backup_machine_free);
    if (!cli_conn(ctl, error) || !backup_add_machines(create, args, error))
        return FALSE;
    create->named = names->len > 0 || cli_args_has(args, "machine");
    for (guint i = 0; i < names->len; i++)
        if (!backup_add_source(create, cli_vol_named(ctl, args, names->pdata[i], "pool", error),
                               NULL, error))
            return FALSE;
    if (create->named || cli_args_has(args, "all-machines"))
        return create->sources->len > 0 ||
               cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("no disk of a domain of libvirt can be backed up"));
    if (create->qmp)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("--qmp needs the names of the vols that the QEMU has open"));
    if (!cli_args_has(args, "pool"))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("name the vols, a pool with --pool, or machines with --machine"));
    pool = cli_pool(ctl, args, "pool", NULL, error);
    if (!pool || !backup_add_pool(create, pool, error))
        return FALSE;
    return create->sources->len > 0 ||
           cst_fail(error, CST_ERROR_NO_VOL, _("pool '%s' has no volumes"), pool->name);
}

/* --- snapshots -------------------------------------------------------------------------------- */

/*
 * Read the volume without a snapshot if it does not support snapshots, unless create->must is set.
 * For the disk of a machine, backup_machine_snapshots() decides. @why is the error of a call about
 * its snapshots. Takes ownership of @why.
 */
static gboolean go_without(const BackupCreate *create, BackupSource *source, GError *why,
                           GError **error)
{
    if ((create->must && !source->machine) || !backup_no_snapshots(why)) {
        g_propagate_error(error, why);
        return FALSE;
    }
    backup_read_whole(source, why->message);
    g_error_free(why);
    return TRUE;
}

/* Find the base of an increment. *ret_names are the snapshots of earlier backups. */
static gboolean backup_find_increment(const BackupCreate *create, BackupSource *source,
                                      GPtrArray **ret_names, GError **error)
{
    GError *why = NULL;

    *ret_names = backup_snapshots(create->ctl->conn, create->repo, source->ref, &why);
    if (!*ret_names)
        return go_without(create, source, why, error);
    source->previous = backup_find_previous(create, source, *ret_names, &source->base);
    if (source->previous)
        source->old = source->previous->snapshot;
    if (!create->incremental)
        backup_read_whole(source, NULL);
    return TRUE;
}

static gboolean read_backups(BackupCreate *create, GError **error)
{
    g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);

    create->backups = cst_repo_backups(create->repo, damaged, error);
    return create->backups != NULL;
}

/* Leaves source->snapshot NULL if the volume does not support snapshots, and they are optional. */
static gboolean backup_make_snapshot(BackupCreate *create, BackupSource *source, GError **error)
{
    g_autoptr(GPtrArray) members = g_ptr_array_new();
    GError *why = NULL;

    if (source->whole)
        return TRUE;
    g_ptr_array_add(members, source);
    return backup_make_snapshot_set(create, members, &why) ||
           go_without(create, source, why, error);
}

static gboolean tidy_source(BackupCreate *create, BackupSource *source, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;

    if (!backup_find_increment(create, source, &names, error))
        return FALSE;
    if (names)
        backup_snapshots_tidy(create->ctl, create->repo, source->ref, names, source->old);
    return TRUE;
}

/*
 * Do slow steps and steps that may fail before the first snapshot, so that all snapshots are
 * created in quick succession.
 */
static gboolean make_snapshots(BackupCreate *create, GError **error)
{
    if (create->began_us == 0)
        create->began_us = g_get_monotonic_time();
    if (create->group)
        return backup_machine_snapshots(create, create->group, error);
    if (create->qmp)
        return backup_snapshots_of_qemu(create, error);
    return create->together ? backup_snapshots_together(create, error)
                            : backup_each(create, backup_make_snapshot, error);
}

/*
 * Delete snapshots that the next backup does not need. If the backup failed (!@done), delete all
 * new ones. Live snapshots end with the reading of their machine.
 */
static void backup_drop_snapshots(const BackupCreate *create, gboolean done)
{
    for (guint i = 0; i < create->sources->len; i++) {
        const BackupSource *source = create->sources->pdata[i];

        if (source->snapshot && !source->live && !(done && source->mark))
            backup_snapshot_drop(create->ctl, source->ref, source->snapshot);
        if (source->old && done && create->incremental)
            backup_snapshot_drop(create->ctl, source->ref, source->old);
    }
}

/* --- content ---------------------------------------------------------------------------------- */

static gboolean run_content(CstTask *task, gpointer data, GError **error)
{
    return backup_content(data, task, error);
}

static gboolean read_source(BackupCreate *create, BackupSource *source, GError **error)
{
    g_autofree char *label = g_strdup_printf(_("Backing up %s"), source->ref->name);
    g_autofree char *writers = source->snapshot ? NULL : cli_vol_writers(create->ctl, source->ref);

    unsigned sector_size;

    create->current = source;
    if (!cli_run_task(create->ctl, label, run_content, create, error))
        return cli_failed(create->ctl, _("Failed to back up vol %s"), source->ref->name);
    if (writers)
        cli_vol_warn_of(create->ctl, source->ref->name, writers);
    sector_size = cli_vol_sector_size(create->ctl, source->ref);
    if (sector_size != CLI_SECTOR_SIZE)
        cli_warn_of_sector_size(create->ctl, source->ref->name, sector_size);
    return TRUE;
}

/* --- dry run ---------------------------------------------------------------------------------- */

static gboolean would_do(gboolean done, GError *why, GError **error)
{
    if (done || cst_error_code(why) == CST_ERROR_DRY_RUN) {
        g_clear_error(&why);
        return TRUE;
    }
    g_propagate_error(error, why);
    return FALSE;
}

/* Check whether the snapshot can be created. Creates no snapshot. */
static gboolean try_snapshot(BackupCreate *create, BackupSource *source, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    GError *why = NULL;
    gboolean done;

    if (!backup_find_increment(create, source, &names, error))
        return FALSE;
    done = source->machine ? backup_machine_try_disk(create, source, &why)
                           : backup_make_snapshot(create, source, &why);
    g_clear_pointer(&source->snapshot, g_free);
    return would_do(done, why, error);
}

/* Dry run: verify that the source can be read, and read no data. */
static gboolean try_content(CstTask *task, gpointer data, GError **error)
{
    BackupCreate *create = data;

    if (!create->snapshot || create->current->direct || (!create->must && create->current->whole))
        return backup_content(create, task, error);
    return !create->incremental || backup_content_plan(create, task, error);
}

static gboolean try_source(BackupCreate *create, BackupSource *source, GError **error)
{
    GError *why = NULL;
    gboolean done;

    create->current = source;
    if (create->snapshot && !try_snapshot(create, source, error))
        return FALSE;
    done = cli_run_task(create->ctl, "", try_content, create, &why);
    return would_do(done, why, error) ||
           cli_failed(create->ctl, _("Failed to back up vol %s"), source->ref->name);
}

static gboolean try_all(BackupCreate *create, GError **error)
{
    return (!create->snapshot || read_backups(create, error)) &&
           backup_each(create, try_source, error);
}

/* Reset the data about earlier backups, so that it is read again. */
static void backup_reset_sources(BackupCreate *create)
{
    g_clear_pointer(&create->backups, g_ptr_array_unref);
    for (guint i = 0; i < create->sources->len; i++) {
        BackupSource *source = create->sources->pdata[i];

        backup_read_whole(source, NULL);
        source->old = NULL;
        source->direct = FALSE;
    }
}

/* Dry run before a background command detaches from the terminal. It checks each volume. */
static gboolean backup_check_sources(BackupCreate *create, GError **error)
{
    CstConn *conn = create->ctl->conn;
    gboolean fine;

    if (create->ctl->background < 0)
        return TRUE;
    if (!cst_conn_set_dry_run(conn, TRUE, error))
        return FALSE;
    create->checking = TRUE;
    fine = try_all(create, error);
    create->checking = FALSE;
    while (create->missing->len > 0) /* the backup tries them again, and reports failures */
        g_ptr_array_add(create->sources, g_ptr_array_steal_index(create->missing, 0));
    backup_reset_sources(create);
    return cst_conn_set_dry_run(conn, FALSE, fine ? error : NULL) && fine;
}

/* Begin the job with the names of all pools and volumes. */
static gboolean begin_job(const BackupCreate *create, GError **error)
{
    g_autoptr(GString) pools = g_string_new(NULL);
    g_autoptr(GString) volumes = g_string_new(NULL);
    const char *last = "";

    for (guint i = 0; i < create->sources->len; i++) {
        const CstVolRef *ref = ((const BackupSource *)create->sources->pdata[i])->ref;

        if (strcmp(ref->pool, last) != 0)
            g_string_append_printf(pools, "%s%s", pools->len > 0 ? ", " : "", ref->pool);
        g_string_append_printf(volumes, "%s%s", i > 0 ? ", " : "", ref->name);
        last = ref->pool;
    }
    return cli_job_begin(create->ctl, "backup-create", pools->str, volumes->str, error);
}

static void backup_print_plan(const BackupCreate *create)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_printf(text,
                    ngettext("Would back up %u vol", "Would back up %u vols", create->sources->len),
                    create->sources->len);
    for (guint i = 0; create->incremental && i < create->sources->len; i++) {
        const BackupSource *source = create->sources->pdata[i];
        g_autofree char *size = cli_size_text(create->ctl, source->planned);

        g_string_append_c(text, '\n');
        if (source->base && backup_volume_has_checkpoint(source->previous))
            g_string_append_printf(text,
                                   _("vol %s: would read the changes since backup %.8s, as far as "
                                     "QEMU has recorded them"),
                                   source->ref->name, source->base->id);
        else if (source->base)
            g_string_append_printf(text, _("vol %s: would read %s, changed since backup %.8s"),
                                   source->ref->name, size, source->base->id);
        else
            g_string_append_printf(text, _("vol %s: would be read whole: %s"), source->ref->name,
                                   source->whole ? source->whole : "");
    }
    cli_plan_lines(create->ctl, text->str);
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean begin_writer(BackupCreate *create, const CliArgs *args, GError **error)
{
    CstBackupHow how = {.host = g_get_host_name()};
    g_auto(GStrv) tags = NULL;
    const char *words;

    if (!cli_args_string(args, "tag", &words, error))
        return FALSE;
    tags = words ? g_strsplit(words, ",", -1) : NULL;
    how.tags = (const char *const *)tags;
    how.time_us = g_get_real_time();
    create->writer = cst_writer_new(create->repo, &how, error);
    return create->writer != NULL;
}

static gboolean backup_has_sources(const BackupCreate *create, const BackupMachine *machine)
{
    for (guint i = 0; i < create->sources->len; i++)
        if (((const BackupSource *)create->sources->pdata[i])->machine == machine)
            return TRUE;
    return FALSE;
}

/* Makes the snapshots of one machine, or of the volumes of no machine, and reads them. */
static gboolean backup_read_group(BackupCreate *create, BackupMachine *machine, GError **error)
{
    gboolean done;

    if (!backup_has_sources(create, machine))
        return TRUE;
    create->group = machine;
    create->grouped = TRUE;
    done = (!create->snapshot || make_snapshots(create, error)) &&
           backup_each(create, read_source, error);
    if (machine)
        backup_machine_end(create, machine);
    create->grouped = FALSE;
    return done;
}

/*
 * Reads one machine after the other, so that a backup job of libvirt runs only while its own disks
 * are read. The guest's writes during a job need scratch space.
 */
static gboolean backup_read_groups(BackupCreate *create, GError **error)
{
    if (!backup_read_group(create, NULL, error))
        return FALSE;
    for (guint i = 0; i < create->machines->len; i++)
        if (!backup_read_group(create, create->machines->pdata[i], error))
            return FALSE;
    return TRUE;
}

static gboolean backup_run_create(BackupCreate *create, char *ret_id, GError **error)
{
    gboolean done = (!create->snapshot ||
                     (read_backups(create, error) && backup_each(create, tidy_source, error))) &&
                    backup_read_groups(create, error);

    if (done && create->together)
        backup_put_moment(create);
    done = done && cst_writer_commit(create->writer, ret_id, error);
    backup_drop_snapshots(create, done);
    return done;
}

/* Fail if the repository was replaced by an older state. New backups would hide the loss. */
static gboolean check_rollback(const BackupCreate *create, const CliArgs *args, GError **error)
{
    GError *why = NULL;

    if (cli_args_has(args, "accept-rollback"))
        return backup_seen_accept(create->repo, error);
    if (backup_seen_check(create->repo, &why))
        return TRUE;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_STATE))
        cli_hint(create->ctl, "%s",
                 _("find out why; --accept-rollback goes on with the repository as it is"));
    g_propagate_error(error, why);
    return FALSE;
}

static gboolean backup_read_options(BackupCreate *create, const CliArgs *args, GError **error)
{
    static const char *const others[] = {"machine", "all-machines", "incremental", "force-share"};

    for (guint i = 0; i < G_N_ELEMENTS(others); i++)
        if (!cli_args_exclusive(args, "qmp", others[i], error))
            return FALSE;
    create->incremental = cli_args_has(args, "incremental");
    create->together = cli_args_has(args, "together") || cli_args_has(args, "machine") ||
                       cli_args_has(args, "all-machines") || cli_args_has(args, "qmp");
    create->must = create->together || cli_args_has(args, "snapshot");
    create->flags = cli_args_has(args, "force-share") ? CST_VOL_STREAM_FORCE_SHARE : 0;
    return cli_consistency_read(args, &create->minimum, error) &&
           cli_qmp_read(args, &create->qmp, error);
}

static gboolean cmd_backup_create(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_auto(BackupCreate) create = {.ctl = ctl};
    g_autoptr(CstBackup) backup = NULL;
    char id[CST_BACKUP_ID_TEXT];

    if (!backup_read_options(&create, args, error))
        return FALSE;
    create.repo = cli_repo(ctl, args, error);
    if (!create.repo || !check_rollback(&create, args, error) ||
        !backup_find_sources(&create, args, error))
        return FALSE;
    if (create.must || create.incremental)
        create.snapshot = backup_snapshot_name(create.repo);
    if (ctl->settings.dry_run) {
        if (!try_all(&create, error))
            return FALSE;
        backup_print_plan(&create);
        if (!backup_check_missing(&create, NULL, error))
            return FALSE;
    }
    if (!backup_check_sources(&create, error) || !begin_job(&create, error) ||
        !begin_writer(&create, args, error) || !backup_run_create(&create, id, error))
        return FALSE;
    backup = cst_repo_backup(create.repo, id, error);
    if (!backup)
        return FALSE;
    backup_seen_note(ctl, create.repo, backup);
    backup_print_created(&create, backup);
    return backup_check_missing(&create, backup, error);
}

static const CliOption create_options[] = {
    REPO,
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("pool of the vols; all vols of the pool if no vol is named"),
     .complete = cli_complete_active_pools},
    {.name = "tag",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_LIST,
     .help = N_("tags of the backup, with commas")},
    {.name = "machine",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_LIST,
     .help = N_("all disks of these domains of libvirt, each domain at one point in time"),
     .complete = cli_complete_domains,
     .complete_by_list = TRUE},
    CLI_SWITCH("all-machines", N_("all disks of all domains of libvirt")),
    CLI_QMP(N_("QMP socket of the QEMU that has the vols open, if libvirt does not manage it")),
    CLI_SWITCH("snapshot", N_("read from snapshots that are made for it")),
    CLI_SWITCH("together", N_("make all snapshots before anything is read, in one step where the "
                              "storage can")),
    CLI_CONSISTENCY,
    CLI_SWITCH("incremental", N_("read only the changes since the previous backup; its snapshots "
                                 "stay until the next one")),
    {.name = "force-share",
     .kind = CLI_OPT_BOOL,
     .letter = 'U',
     .help = N_("read a volume that another program is writing to, too")},
    CLI_SWITCH("accept-rollback", N_("add to a repository that was put back to an earlier state")),
    REPO_OPTIONS,
    CLI_NAMED("rate-limit", N_("bytes per second at most, as scaled integer")),
    CLI_DETACH,
    {.name = "vol",
     .kind = CLI_OPT_ARGV,
     .help = N_("vol names, keys or paths"),
     .complete = cli_complete_vols},
    {0},
};

const CliCommand cli_backup_create_command = {
    .name = "backup-create",
    .summary = N_("back up vols"),
    .description = N_("Back up the guest-visible content of vols of any pool and format. Data that "
                      "the repository already has is not stored again. The backup appears when it "
                      "is complete. A vol that cannot be read is named and left out, the other "
                      "vols are backed up, and the exit status is 8."),
    .options = create_options,
    .handler = cmd_backup_create,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS | CLI_CMD_WORKS,
};
