/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machines of a backup: libvirt's domains, whose disks are its sources. The manifest has the
 * definition of each machine.
 */
#include "create.h"

#include <string.h>

#include <base/error.h>

#include "commands/volume/domains.h"
#include "commands/xml.h"
#include "output/report.h"
#include "output/text.h"
#include "snapshots.h"

void backup_machine_free(gpointer data)
{
    BackupMachine *machine = data;

    cst_domain_free(machine->domain);
    g_clear_error(&machine->failure);
    g_free(machine);
}

static GPtrArray *machine_sources(const BackupCreate *create, const BackupMachine *machine)
{
    GPtrArray *sources = g_ptr_array_new();

    for (guint i = 0; i < create->sources->len; i++)
        if (((BackupSource *)create->sources->pdata[i])->machine == machine)
            g_ptr_array_add(sources, create->sources->pdata[i]);
    return sources;
}

/* --- the machines of the options -------------------------------------------------------------- */

/* Removes a machine that cannot be backed up, with its sources. */
static void backup_remove_machine(BackupCreate *create, BackupMachine *machine)
{
    for (guint i = create->sources->len; i-- > 0;)
        if (((const BackupSource *)create->sources->pdata[i])->machine == machine)
            g_ptr_array_remove_index(create->sources, i);
    g_ptr_array_remove(create->machines, machine);
}

/* @name: a name or a UUID. */
static gboolean backup_add_machine(BackupCreate *create, const char *name, GError **error)
{
    g_autoptr(GPtrArray) vols = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_ref_free);
    CstDomain *domain = NULL;
    BackupMachine *machine;

    if (!cli_domain_vols(create->ctl, name, vols, &domain, error))
        return FALSE;
    machine = g_new0(BackupMachine, 1);
    machine->domain = domain;
    g_ptr_array_add(create->machines, machine);
    while (vols->len > 0)
        if (!backup_add_source(create, g_ptr_array_steal_index(vols, 0), machine, error)) {
            backup_remove_machine(create, machine);
            return FALSE;
        }
    return TRUE;
}

/* Reports a machine of --all-machines whose disks are not known. Takes ownership of both. */
static void backup_lose_machine(BackupCreate *create, CstDomain *domain, GError *why)
{
    BackupMachine *machine = g_new0(BackupMachine, 1);

    machine->domain = domain;
    machine->failure = why;
    g_ptr_array_add(create->machines, machine);
    cli_failed(create->ctl, _("Failed to back up domain %s"), domain->name);
    cli_report_part(create->ctl, why);
}

/* A domain without a disk has no content to back up. */
static gboolean domain_has_content(const CstDomain *domain)
{
    for (guint i = 0; i < domain->drives->len; i++)
        if (!((const CstDomainDrive *)domain->drives->pdata[i])->reads_only)
            return TRUE;
    return FALSE;
}

static gboolean backup_add_all_machines(BackupCreate *create, GError **error)
{
    g_autoptr(GPtrArray) domains = cst_conn_domains(create->ctl->conn, NULL, error);

    if (!domains)
        return FALSE;
    while (domains->len > 0) {
        g_autoptr(CstDomain) domain = g_ptr_array_steal_index(domains, 0);
        GError *why = NULL;

        if (!domain_has_content(domain) || backup_add_machine(create, domain->uuid, &why))
            continue;
        if (cst_error_code(why) == CST_ERROR_CANCELLED) {
            g_propagate_error(error, why);
            return FALSE;
        }
        /* A transient domain may have ended since the list. */
        if (cst_error_code(why) == CST_ERROR_NOT_FOUND)
            g_error_free(why);
        else
            backup_lose_machine(create, g_steal_pointer(&domain), why);
    }
    return TRUE;
}

gboolean backup_add_machines(BackupCreate *create, const CliArgs *args, GError **error)
{
    g_auto(GStrv) names = NULL;
    const char *words;

    if (!cli_args_string(args, "machine", &words, error) ||
        !cli_args_exclusive(args, "machine", "all-machines", error))
        return FALSE;
    names = g_strsplit(words ? words : "", ",", -1);
    for (char **name = names; *name; name++)
        if (!backup_add_machine(create, *name, error))
            return FALSE;
    return !cli_args_has(args, "all-machines") || backup_add_all_machines(create, error);
}

/* --- snapshots of one machine ----------------------------------------------------------------- */

/* Whether a snapshot by the pool cannot be read, because it lacks the data of a backing file. */
static gboolean disks_have_backing(const GPtrArray *disks)
{
    for (guint i = 0; i < disks->len; i++)
        if (cli_xml_has(((const BackupSource *)disks->pdata[i])->xml,
                        "/volume/backingStore/path[. != '']"))
            return TRUE;
    return FALSE;
}

/* Whether libvirt has no running domain with the disks, so that another way is tried. */
static gboolean is_not_running(const GError *why)
{
    return g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND) ||
           g_error_matches(why, CST_ERROR, CST_ERROR_NO_SUPPORT);
}

/* An earlier backup of a disk, whose state libvirt may know as a checkpoint. */
typedef struct {
    const CstBackup *backup;
    const CstBackupVolume *volume; /* NULL: there is none */
} DiskBase;

/* Finds the bases of the disks. @names gets the name of each checkpoint, borrowed, or NULL. */
static DiskBase *disks_find_bases(const BackupCreate *create, const GPtrArray *disks,
                                  GPtrArray *names)
{
    DiskBase *bases = g_new0(DiskBase, disks->len);

    for (guint i = 0; i < disks->len; i++) {
        const CstBackupVolume *volume =
            backup_find_previous(create, disks->pdata[i], NULL, &bases[i].backup);

        bases[i].volume = volume;
        g_ptr_array_add(names, volume ? volume->snapshot + strlen(CST_CHECKPOINT_PREFIX) : NULL);
    }
    return bases;
}

/* Replaces the bases of the disks, which may have been found by snapshots. */
static void disks_set_bases(const GPtrArray *disks, const DiskBase *bases)
{
    for (guint i = 0; i < disks->len; i++) {
        BackupSource *source = disks->pdata[i];

        source->base = bases[i].backup;
        source->previous = bases[i].volume;
    }
}

/* Makes live snapshots. *ret_live is FALSE without an error if no running domain has the disks. */
static gboolean disks_make_live(BackupCreate *create, const GPtrArray *disks, gboolean *ret_live,
                                GError **error)
{
    g_autofree char *name = g_strconcat(CST_LIVE_PREFIX, create->snapshot, NULL);
    CstLiveRequest request = {.snapshot = {.name = name, .minimum = create->minimum}};
    g_autoptr(GPtrArray) vols = backup_vols_of(disks), names = g_ptr_array_new();
    g_autofree DiskBase *bases = NULL;
    g_auto(CstSnapshotSet) set = {0};
    g_autoptr(GError) why = NULL;

    if (create->incremental) {
        bases = disks_find_bases(create, disks, names);
        request.checkpoint = create->snapshot;
        request.bases = (const char *const *)names->pdata;
    }
    *ret_live = cst_conn_live_create(create->ctl->conn, vols, &request, NULL, &set, &why);
    if (bases && (*ret_live || cst_error_code(why) == CST_ERROR_DRY_RUN))
        disks_set_bases(disks, bases);
    if (*ret_live) {
        create->has_live = TRUE;
        backup_put_set(create, disks, TRUE, &set);
    }
    if (*ret_live || is_not_running(why))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/*
 * Whether the pools have snapshots and cannot make these ones now, because the domain cannot be
 * suspended or the consistency would be worse than the minimum.
 */
static gboolean snapshots_are_refused(const GError *why)
{
    return g_error_matches(why, CST_ERROR, CST_ERROR_BUSY) ||
           g_error_matches(why, CST_ERROR, CST_ERROR_STATE);
}

/*
 * Makes the snapshots of all disks. A live snapshot is made if the pools cannot keep one. If no
 * running domain has them, they are read themselves.
 */
static gboolean disks_make_snapshots(BackupCreate *create, const GPtrArray *disks, GError **error)
{
    g_autoptr(GError) why = NULL;
    gboolean live = FALSE, none;

    if (disks_have_backing(disks) && !disks_make_live(create, disks, &live, error))
        return FALSE;
    if (live || backup_make_snapshot_set(create, disks, &why))
        return TRUE;
    none = backup_no_snapshots(why);
    if ((none || snapshots_are_refused(why)) && !disks_make_live(create, disks, &live, error))
        return FALSE;
    if (!live && !none) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    for (guint i = 0; !live && i < disks->len; i++) {
        BackupSource *source = disks->pdata[i];

        source->direct = TRUE;
        backup_read_whole(source, why->message);
    }
    return TRUE;
}

gboolean backup_machine_try_disk(BackupCreate *create, BackupSource *source, GError **error)
{
    g_autoptr(GPtrArray) disks = g_ptr_array_new();

    g_ptr_array_add(disks, source);
    return disks_make_snapshots(create, disks, error);
}

/* Fails if the domain has other disks than at the begin of the command. Replaces its definition. */
static gboolean machine_refresh(BackupCreate *create, BackupMachine *machine,
                                const GPtrArray *disks, GError **error)
{
    g_autoptr(GPtrArray) vols = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_ref_free);
    CstDomain *domain = NULL;
    guint known = 0;

    if (!cli_domain_vols(create->ctl, machine->domain->uuid, vols, &domain, error))
        return FALSE;
    for (guint i = 0; i < vols->len; i++)
        for (guint j = 0; j < disks->len; j++) {
            const CstVolRef *vol = vols->pdata[i];
            const CstVolRef *disk = ((const BackupSource *)disks->pdata[j])->ref;

            known += strcmp(vol->pool, disk->pool) == 0 && strcmp(vol->name, disk->name) == 0;
        }
    cst_domain_free(machine->domain);
    machine->domain = domain;
    return (known == vols->len && known == disks->len) ||
           cst_fail(error, CST_ERROR_STATE,
                    _("the disks of domain '%s' changed since the begin of the backup; try again"),
                    domain->name);
}

static gboolean machine_begin(BackupCreate *create, BackupMachine *machine, GError **error)
{
    g_autoptr(GPtrArray) disks = machine_sources(create, machine);
    CstBackupMachine written;

    if (disks->len > CST_CONN_SNAPSHOT_SET_MAX)
        return cst_fail(error, CST_ERROR_LIMIT, _("domain '%s' has more than %d disks"),
                        machine->domain->name, CST_CONN_SNAPSHOT_SET_MAX);
    if (!machine_refresh(create, machine, disks, error) ||
        !disks_make_snapshots(create, disks, error))
        return FALSE;
    written = (CstBackupMachine){.name = machine->domain->name,
                                 .uuid = machine->domain->uuid,
                                 .document = machine->domain->document};
    return cst_writer_machine(create->writer, &written, &machine->number, error);
}

/* Implements BackupStep: fails with the refusal of the machine. */
static gboolean refuse_source(BackupCreate *create, BackupSource *source, GError **error)
{
    g_propagate_error(error, g_error_copy(create->refusal));
    return FALSE;
}

gboolean backup_machine_snapshots(BackupCreate *create, BackupMachine *machine, GError **error)
{
    g_autoptr(GError) why = NULL;
    gboolean goes_on;

    if (machine_begin(create, machine, &why))
        return TRUE;
    if (g_error_matches(why, CST_ERROR, CST_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    create->refusal = why;
    goes_on = backup_each(create, refuse_source, error);
    create->refusal = NULL;
    return goes_on;
}

static gboolean machine_is_missing_disks(const BackupCreate *create, const BackupMachine *machine)
{
    for (guint i = 0; i < create->missing->len; i++)
        if (((const BackupSource *)create->missing->pdata[i])->machine == machine)
            return TRUE;
    return FALSE;
}

void backup_machine_end(BackupCreate *create, BackupMachine *machine)
{
    g_autofree char *name = g_strconcat(CST_LIVE_PREFIX, create->snapshot, NULL);
    g_autoptr(GPtrArray) disks = machine_sources(create, machine);
    g_autoptr(GError) why = NULL;
    const BackupSource *first = disks->len > 0 ? disks->pdata[0] : NULL;

    if (create->has_live && !cst_conn_live_end(create->ctl->conn, name, &why))
        cli_warn(create->ctl, _("warning: the backup job of a domain may still run: %s\n"),
                 why->message);
    create->has_live = FALSE;
    if (machine->number > 0)
        cst_writer_machine_end(create->writer, machine->number,
                               first && !first->direct && create->one_step &&
                                   !machine_is_missing_disks(create, machine));
}
