/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup-restore --machine: restores the volumes of a domain and rewrites its definition.
 *
 *   1. Each volume of the domain in the backup gets its disk, and the name of a new volume.
 *   2. The definition, the names, the restore of each volume as a dry run, and with --define the
 *      domains of libvirt are checked. The command has changed no data so far.
 *   3. Each volume is restored, also after a failure. Then the domain is not defined, and the
 *      restored volumes stay.
 *   4. The definition is rewritten with the paths of the new volumes. It is printed, or with
 *      --define a helper process of this command defines it in libvirt of this host.
 * Stdout has only the definition, and the report of the volumes is on stderr.
 */
#include "restore_machine.h"

#include <string.h>

#include <base/error.h>
#include <conn/domains.h>
#include <model/domain_restore.h>
#include <model/pool_type.h>

#include "commands/xml.h"
#include "output/report.h"
#include "output/text.h"
#include "restore_report.h"
#include "seen.h"

#define RAW_FORMAT    "raw" /* of a volume without a format */
#define EXTENSION_MAX 8     /* characters of a file name's extension */
#define PLACEHOLDER   "/"   /* the path of a volume in the check of the definition */
#define LATEST_BACKUP "latest"

static void machine_disk_free(gpointer data)
{
    MachineDisk *disk = data;

    g_free(disk->target);
    cst_pool_ref_free(disk->pool);
    g_free(disk->name);
    cst_vol_ref_free(disk->made);
    g_free(disk->path);
    g_free(disk->format);
    g_clear_error(&disk->failure);
    g_free(disk);
}

/* --- the machine of the backup ---------------------------------------------------------------- */

/* Returns the machine with the name or UUID @name, borrowed; NULL: there is none. */
static const CstBackupMachine *backup_find_machine(const CstBackup *backup, const char *name,
                                                   guint *ret_count)
{
    const CstBackupMachine *found = NULL;

    *ret_count = 0;
    for (guint i = 0; i < backup->machines->len; i++) {
        const CstBackupMachine *machine = backup->machines->pdata[i];

        if (strcmp(machine->name, name) != 0 && strcmp(machine->uuid, name) != 0)
            continue;
        found = machine;
        (*ret_count)++;
    }
    return found;
}

/* Returns the newest backup with machine @name. */
static CstBackup *repo_latest_of_machine(CliCtl *ctl, CstRepo *repo, const char *name,
                                         GError **error)
{
    g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) backups = cst_repo_backups(repo, damaged, error);
    guint count;

    if (!backups)
        return NULL;
    for (guint i = 0; i < damaged->len; i++)
        cli_warn(ctl, _("warning: %s\n"), (const char *)damaged->pdata[i]);
    for (guint i = backups->len; i-- > 0;)
        if (backup_find_machine(backups->pdata[i], name, &count))
            return g_ptr_array_steal_index(backups, i);
    cst_fail(error, CST_ERROR_NOT_FOUND,
             _("no backup of the repository has domain '%s'; backup-info shows the domains of a "
               "backup"),
             name);
    return NULL;
}

static CstBackup *machine_find_backup(MachineRestore *restore, GError **error)
{
    const CliArgs *args = restore->args;
    g_autoptr(CstBackup) backup = NULL;
    const char *id, *name;
    guint count = 0;

    if (!cli_args_string(args, "backup", &id, error) ||
        !cli_args_string(args, "machine", &name, error))
        return NULL;
    restore->repo = cli_repo(restore->ctl, args, error);
    if (!restore->repo)
        return NULL;
    backup_seen_warn(restore->ctl, restore->repo);
    backup = strcmp(id, LATEST_BACKUP) == 0
                 ? repo_latest_of_machine(restore->ctl, restore->repo, name, error)
                 : cst_repo_backup(restore->repo, id, error);
    if (!backup)
        return NULL;
    restore->machine = backup_find_machine(backup, name, &count);
    if (count == 1)
        return g_steal_pointer(&backup);
    if (count == 0)
        cst_fail(error, CST_ERROR_NOT_FOUND,
                 _("backup '%.8s' has no domain '%s'; backup-info lists its domains"), backup->id,
                 name);
    else
        cst_fail(error, CST_ERROR_INVALID,
                 _("backup '%.8s' has several domains '%s'; use the UUID"), backup->id, name);
    return NULL;
}

/* --- the names of the volumes ----------------------------------------------------------------- */

/* Returns the extension of a volume's name with its dot, borrowed; "": it has none. */
static const char *volume_extension(const char *name)
{
    const char *dot = strrchr(name, '.');
    size_t len = dot ? strlen(dot) - 1 : 0;

    if (len == 0 || len > EXTENSION_MAX || dot == name)
        return "";
    return strspn(dot + 1, G_CSET_DIGITS G_CSET_A_2_Z G_CSET_a_2_z) == len ? dot : "";
}

static gboolean machine_disk_place(MachineRestore *restore, MachineDisk *disk, GError **error)
{
    CstConn *conn = restore->ctl->conn;
    g_autofree char *xml = NULL;
    g_autofree char *type = NULL;
    CstVolType shown;
    const char *pool;

    if (!cli_args_string(restore->args, "pool", &pool, error))
        return FALSE;
    disk->pool = cst_conn_pool_by_name(conn, pool ? pool : disk->volume->pool, error);
    xml = disk->pool ? cst_conn_pool_xml(conn, disk->pool, 0, error) : NULL;
    if (!xml)
        return FALSE;
    type = cli_xml_text(xml, "/pool/@type");
    shown = type && cst_pool_type_parse(type, &disk->pool_type)
                ? cst_pool_shown_type(disk->pool_type, cst_pool_new_volume_type(disk->pool_type))
                : CST_VOL_NETWORK;
    if (shown != CST_VOL_FILE && shown != CST_VOL_BLOCK)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("cannot write the disks of a domain for pool '%s', which has no files "
                          "and no devices; name another pool with --pool"),
                        disk->pool->name);
    disk->name = restore->new_name ? g_strdup_printf("%s-%s%s", restore->new_name, disk->target,
                                                     volume_extension(disk->volume->name))
                                   : g_strdup(disk->volume->name);
    return TRUE;
}

static gboolean machine_add_disk(MachineRestore *restore, const CstBackupVolume *volume,
                                 GError **error)
{
    MachineDisk *disk = g_new0(MachineDisk, 1);

    disk->volume = volume;
    disk->target = g_strdup(volume->target);
    g_ptr_array_add(restore->disks, disk);
    return machine_disk_place(restore, disk, error);
}

static gboolean machine_add_disks(MachineRestore *restore, GError **error)
{
    for (guint i = 0; i < restore->backup->volumes->len; i++) {
        const CstBackupVolume *volume = restore->backup->volumes->pdata[i];

        if (volume->machine > 0 &&
            restore->backup->machines->pdata[volume->machine - 1] == restore->machine &&
            !machine_add_disk(restore, volume, error))
            return FALSE;
    }
    return restore->disks->len > 0 ||
           cst_fail(error, CST_ERROR_NOT_FOUND, _("backup '%.8s' has no disk of domain '%s'"),
                    restore->backup->id, restore->machine->name);
}

/* --- checks before the first change ----------------------------------------------------------- */

/* @checks: the volumes do not exist yet. */
static gboolean machine_rewrite(const MachineRestore *restore, gboolean checks,
                                CstDomainDefinition *ret_definition, GError **error)
{
    g_autofree CstDomainNewDisk *disks = g_new0(CstDomainNewDisk, restore->disks->len + 1);
    const CstDomainRestore how = {
        .name = restore->new_name, .disks = disks, .n_disks = restore->disks->len};

    for (guint i = 0; i < restore->disks->len; i++) {
        const MachineDisk *disk = restore->disks->pdata[i];

        disks[i].target = disk->target;
        disks[i].path = checks ? PLACEHOLDER : disk->path;
        disks[i].format = checks ? RAW_FORMAT : disk->format;
        disks[i].is_device = disk->is_device;
    }
    return cst_domain_restore(restore->machine->document, &how, ret_definition, error);
}

static gboolean machine_disk_is_free(const MachineRestore *restore, guint index, GError **error)
{
    const MachineDisk *disk = restore->disks->pdata[index];
    g_autoptr(GError) why = NULL;
    g_autoptr(CstVolRef) existing =
        cst_conn_vol_by_name(restore->ctl->conn, disk->pool, disk->name, &why);

    if (existing)
        return cst_fail(error, CST_ERROR_VOL_EXISTS,
                        _("cannot restore disk '%s': pool '%s' has vol '%s' already; delete it if "
                          "an earlier restore has left it, or use --newname or --pool"),
                        disk->target, disk->pool->name, disk->name);
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    for (guint i = 0; i < index; i++) {
        const MachineDisk *earlier = restore->disks->pdata[i];

        if (strcmp(earlier->name, disk->name) == 0 &&
            strcmp(earlier->pool->name, disk->pool->name) == 0)
            return cst_fail(error, CST_ERROR_INVALID,
                            _("disks '%s' and '%s' would both be vol '%s' of pool '%s'; restore "
                              "the domain with --newname, or without --pool"),
                            earlier->target, disk->target, disk->name, disk->pool->name);
    }
    return TRUE;
}

static CstVolRef *machine_disk_restore(const MachineRestore *restore, const MachineDisk *disk,
                                       GError **error)
{
    const CliRestore how = {
        .pool = disk->pool, .name = disk->name, .format = restore->format, .tags = TRUE};

    return cli_restore(restore->ctl, restore->repo, disk->volume, &how, error);
}

/* Restores a disk as a dry run. */
static gboolean machine_disk_try(const MachineRestore *restore, const MachineDisk *disk,
                                 GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(CstVolRef) made = machine_disk_restore(restore, disk, &why);

    if (made || g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return cli_failed(restore->ctl, _("Failed to restore vol %s in pool %s"), disk->name,
                      disk->pool->name);
}

/* A server without dry runs checks each volume only when it is restored. */
static gboolean machine_try_disks(const MachineRestore *restore, GError **error)
{
    CstConn *conn = restore->ctl->conn;
    gboolean ok = TRUE;

    if (!cst_conn_set_dry_run(conn, TRUE, NULL))
        return TRUE;
    for (guint i = 0; ok && i < restore->disks->len; i++)
        ok = machine_disk_try(restore, restore->disks->pdata[i], error);
    if (restore->ctl->settings.dry_run)
        return ok;
    return cst_conn_set_dry_run(conn, FALSE, ok ? error : NULL) && ok;
}

/* Warns that the definition would replace a domain. Without libvirt there is none. */
static void machine_warn_domain(const MachineRestore *restore,
                                const CstDomainDefinition *definition)
{
    g_autoptr(GError) why = NULL;

    if (!restore->new_name &&
        !cst_conn_domain_define(restore->ctl->conn, definition->name, definition->uuid, NULL,
                                &why) &&
        g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS))
        cli_warn(restore->ctl,
                 _("warning: virsh define would replace the definition of the existing domain "
                   "'%s'; use --newname for a new domain\n"),
                 definition->name);
}

/* Whether libvirt can define the domain. */
static gboolean machine_check_domain(const MachineRestore *restore,
                                     const CstDomainDefinition *definition, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!restore->defines) {
        machine_warn_domain(restore, definition);
        return TRUE;
    }
    if (cst_conn_domain_define(restore->ctl->conn, definition->name, definition->uuid, NULL, &why))
        return TRUE;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS))
        cli_hint(restore->ctl, "%s",
                 _("restore it as a new domain with --newname, or shut the existing one down and "
                   "remove it with virsh undefine"));
    else
        cli_hint(restore->ctl, "%s",
                 _("leave out --define, and define the domain of the output with virsh define"));
    g_propagate_error(error, g_steal_pointer(&why));
    return cli_failed(restore->ctl, _("Failed to define domain %s"), definition->name);
}

static gboolean machine_check_room(const MachineRestore *restore, GError **error)
{
    g_autofree CliRestorePlace *places = g_new0(CliRestorePlace, restore->disks->len + 1);

    for (guint i = 0; i < restore->disks->len; i++) {
        const MachineDisk *disk = restore->disks->pdata[i];

        places[i] = (CliRestorePlace){disk->volume, disk->pool};
    }
    return cli_restore_check_room(restore->ctl, restore->repo, places, restore->disks->len, error);
}

static gboolean machine_check(const MachineRestore *restore, GError **error)
{
    g_auto(CstDomainDefinition) definition = {0};

    if (!machine_rewrite(restore, TRUE, &definition, error))
        return FALSE;
    for (guint i = 0; i < restore->disks->len; i++)
        if (!machine_disk_is_free(restore, i, error))
            return FALSE;
    return machine_check_domain(restore, &definition, error) && machine_try_disks(restore, error) &&
           machine_check_room(restore, error);
}

/* --- the restore ------------------------------------------------------------------------------ */

/* Reads the path, the type and the format of a new volume. */
static gboolean machine_disk_describe(CliCtl *ctl, MachineDisk *disk, GError **error)
{
    g_autofree char *xml = NULL;
    CstVolInfo info;

    disk->path = cst_conn_vol_path(ctl->conn, disk->made, error);
    xml = disk->path ? cst_conn_vol_xml(ctl->conn, disk->made, 0, error) : NULL;
    if (!xml || !cst_conn_vol_info(ctl->conn, disk->made, FALSE, &info, error))
        return FALSE;
    disk->is_device = info.type == CST_VOL_BLOCK;
    disk->format = cli_xml_text(xml, "/volume/target/format/@type");
    if (!disk->format || cst_pool_volume_mark_ok(disk->pool_type, disk->format)) {
        g_free(disk->format);
        disk->format = g_strdup(RAW_FORMAT);
    }
    return TRUE;
}

/* Stdout is kept for the definition, which is printed also if libvirt refuses it. */
static void machine_disk_report(const MachineRestore *restore, const MachineDisk *disk)
{
    CliCtl *ctl = restore->ctl;

    if (!ctl->settings.json && !ctl->settings.quiet)
        cli_warn(ctl, _("Vol %s restored in pool %s\n"), disk->name, disk->pool->name);
}

/* Returns the number of disks that failed. A cancellation fails all further disks. */
static guint machine_restore_disks(MachineRestore *restore)
{
    CliCtl *ctl = restore->ctl;
    guint failed = 0;

    ctl->one_of_several = TRUE;
    for (guint i = 0; i < restore->disks->len; i++) {
        MachineDisk *disk = restore->disks->pdata[i];

        disk->made = machine_disk_restore(restore, disk, &disk->failure);
        if (disk->made && machine_disk_describe(ctl, disk, &disk->failure)) {
            machine_disk_report(restore, disk);
            continue;
        }
        failed++;
        cli_failed(ctl, _("Failed to restore vol %s in pool %s"), disk->name, disk->pool->name);
        cli_report_part(ctl, disk->failure);
        if (g_error_matches(disk->failure, CST_ERROR, CST_ERROR_CANCELLED)) {
            failed = restore->disks->len - i + failed - 1;
            break;
        }
    }
    ctl->one_of_several = FALSE;
    return failed;
}

/* Returns the names of the restored volumes, or of all new ones. The caller frees them. */
static char *machine_vol_names(const MachineRestore *restore, gboolean only_made)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < restore->disks->len; i++) {
        const MachineDisk *disk = restore->disks->pdata[i];

        if (disk->made || !only_made)
            g_string_append_printf(names, "%s%s/%s", names->len > 0 ? ", " : "", disk->pool->name,
                                   disk->name);
    }
    return g_string_free(names, FALSE);
}

static gboolean machine_fail_disks(const MachineRestore *restore, guint failed, GError **error)
{
    g_autofree char *names = machine_vol_names(restore, TRUE);
    const MachineDisk *last = NULL;

    for (guint i = 0; i < restore->disks->len; i++) {
        const MachineDisk *disk = restore->disks->pdata[i];

        last = disk->failure ? disk : last;
    }
    if (*names == '\0' && last) {
        restore->ctl->reported = !restore->ctl->settings.json;
        g_propagate_error(error, g_error_copy(last->failure));
        return FALSE;
    }
    return cst_fail(error, CST_ERROR_PARTIAL,
                    _("the domain is not restored, because %u of %u vols failed; these vols are "
                      "restored and stay, delete them before the next attempt: %s"),
                    failed, restore->disks->len, names);
}

/* --- output ----------------------------------------------------------------------------------- */

/* Defines the domain. The definition is printed if libvirt refuses it. */
static gboolean machine_define(const MachineRestore *restore, const CstDomainDefinition *definition,
                               GError **error)
{
    g_autofree char *names = machine_vol_names(restore, TRUE);

    if (cst_conn_domain_define(restore->ctl->conn, definition->name, definition->uuid,
                               definition->document, error)) {
        machine_print_json(restore, definition, TRUE);
        cli_extra(restore->ctl, _("Domain %s defined\n"), definition->name);
        return TRUE;
    }
    machine_print_json(restore, definition, FALSE);
    machine_print_definition(restore, definition);
    cli_hint(restore->ctl,
             _("these vols are restored and stay: %s; the definition is on standard output, for "
               "virsh define"),
             names);
    return cli_failed(restore->ctl, _("Failed to define domain %s"), definition->name);
}

static gboolean machine_finish(const MachineRestore *restore, GError **error)
{
    g_auto(CstDomainDefinition) definition = {0};

    if (!machine_rewrite(restore, FALSE, &definition, error))
        return FALSE;
    machine_warn_parts(restore, &definition);
    if (restore->defines)
        return machine_define(restore, &definition, error);
    machine_print_json(restore, &definition, FALSE);
    machine_print_definition(restore, &definition);
    cli_note(_("define the domain of this output with virsh define FILE"), restore->ctl);
    return TRUE;
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean machine_run(MachineRestore *restore, GError **error)
{
    const MachineDisk *first = NULL;
    g_autofree char *names = NULL;
    guint failed;

    if (!machine_add_disks(restore, error) || !machine_check(restore, error))
        return FALSE;
    if (restore->ctl->settings.dry_run) {
        machine_print_plan(restore);
        return TRUE;
    }
    first = restore->disks->pdata[0];
    names = machine_vol_names(restore, FALSE);
    restore->ctl->out_is_data = TRUE;
    if (!cli_job_begin(restore->ctl, "backup-restore", first->pool->name, names, error))
        return FALSE;
    failed = machine_restore_disks(restore);
    if (failed == 0)
        return machine_finish(restore, error);
    machine_print_json(restore, NULL, FALSE);
    return machine_fail_disks(restore, failed, error);
}

gboolean cli_restore_machine(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(machine_disk_free);
    g_autoptr(CstBackup) backup = NULL;
    MachineRestore restore = {
        .ctl = ctl, .args = args, .defines = cli_args_has(args, "define"), .disks = disks};
    gboolean ok = FALSE;

    if (!cli_args_exclusive(args, "machine", "all", error) ||
        !cli_args_exclusive(args, "machine", "vol", error) ||
        !cli_args_exclusive(args, "machine", "detach", error) ||
        !cli_args_string(args, "format", &restore.format, error) ||
        !cli_args_string(args, "newname", &restore.new_name, error))
        return FALSE;
    if (restore.new_name && !cst_domain_check_name(restore.new_name, error)) {
        ctl->blame |= CLI_BLAME_ALL;
        return FALSE;
    }
    backup = machine_find_backup(&restore, error);
    restore.backup = backup;
    if (backup && cli_conn(ctl, error))
        ok = machine_run(&restore, error);
    cst_repo_close(restore.repo);
    return ok;
}
