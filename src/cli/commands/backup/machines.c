/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The machines of a backup: libvirt's domains, whose disks are its sources. The manifest has the
 * definition of each machine.
 */
#include "create.h"

#include <base/error.h>

#include "commands/volume/domains.h"
#include "output/report.h"

void backup_machine_free(gpointer data)
{
    BackupMachine *machine = data;

    cst_domain_free(machine->domain);
    g_clear_error(&machine->failure);
    g_free(machine);
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
        if (!backup_add_source(create, g_ptr_array_steal_index(vols, 0), machine, error))
            return FALSE;
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
        backup_lose_machine(create, g_steal_pointer(&domain), why);
    }
    return create->sources->len > 0 ||
           cst_fail(error, CST_ERROR_NOT_FOUND,
                    _("no disk of a domain of libvirt can be backed up"));
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

gboolean backup_write_machines(BackupCreate *create, GError **error)
{
    for (guint i = 0; i < create->sources->len; i++) {
        BackupMachine *machine = ((const BackupSource *)create->sources->pdata[i])->machine;

        if (!machine || machine->number > 0)
            continue;
        if (!cst_writer_machine(create->writer,
                                &(CstBackupMachine){.name = machine->domain->name,
                                                    .uuid = machine->domain->uuid,
                                                    .document = machine->domain->document,
                                                    .one_moment = machine->one_moment},
                                &machine->number, error))
            return FALSE;
    }
    return TRUE;
}
