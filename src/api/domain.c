/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Procedures about libvirt's domains that use volumes. */
#include "api_private.h"

#include <service/domains.h>
#include <service/images.h>

static unsigned api_domain_flags(gboolean reads_only, gboolean shareable)
{
    return (reads_only ? WIRE_DOMAIN_READS_ONLY : 0) | (shareable ? WIRE_DOMAIN_SHAREABLE : 0);
}

static void api_domain_disk_fill(wire_domain_disk *ret, CstDomainDisk *disk)
{
    *ret = (wire_domain_disk){
        .domain = cst_api_text(g_steal_pointer(&disk->domain)),
        .uuid = cst_api_text(g_steal_pointer(&disk->uuid)),
        .target = cst_api_text(g_steal_pointer(&disk->target)),
        .state = disk->state,
        .agent = disk->agent,
        .level = disk->level,
        .flags = api_domain_flags(disk->reads_only, disk->shareable),
    };
}

static gboolean api_vol_domains(CstApiCall *call, const void *args, void *ret_data, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    wire_domains_ret *ret = ret_data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, vol, error);
    g_autoptr(GPtrArray) disks = pool ? cst_vol_domains(pool, vol->name, call->task, error) : NULL;

    if (!disks)
        return FALSE;
    ret->disks.disks_val = g_new0(wire_domain_disk, disks->len + 1);
    for (guint i = 0; i < disks->len && i < WIRE_LIST_MAX; i++)
        api_domain_disk_fill(&ret->disks.disks_val[ret->disks.disks_len++], disks->pdata[i]);
    return TRUE;
}

static void api_domain_drive_fill(wire_domain_drive *ret, CstDomainDrive *drive)
{
    *ret = (wire_domain_drive){
        .target = cst_api_text(g_steal_pointer(&drive->target)),
        .path = cst_api_opt(g_steal_pointer(&drive->path)),
        .pool = cst_api_opt(g_steal_pointer(&drive->pool)),
        .volume = cst_api_opt(g_steal_pointer(&drive->volume)),
        .problem = cst_api_opt(g_steal_pointer(&drive->problem)),
        .flags = api_domain_flags(drive->reads_only, drive->shareable),
    };
}

static void api_domain_fill(wire_domain_row *ret, CstDomain *domain)
{
    guint count = MIN(domain->drives->len, WIRE_LIST_MAX);

    *ret = (wire_domain_row){
        .name = cst_api_text(g_steal_pointer(&domain->name)),
        .uuid = cst_api_text(g_steal_pointer(&domain->uuid)),
        .document = cst_api_text(g_steal_pointer(&domain->document)),
        .state = domain->state,
        .agent = domain->agent,
    };
    ret->drives.drives_val = g_new0(wire_domain_drive, count + 1);
    ret->drives.drives_len = count;
    for (guint i = 0; i < count; i++)
        api_domain_drive_fill(&ret->drives.drives_val[i], domain->drives->pdata[i]);
}

static gboolean api_domain_list(CstApiCall *call, const void *args, void *ret_data, GError **error)
{
    const char *name = cst_api_opt_text(((const wire_domain_list_args *)args)->name);
    wire_domain_list_ret *ret = ret_data;
    g_autoptr(GPtrArray) domains = cst_service_domains(call->service, name, call->task, error);
    guint count = domains ? MIN(domains->len, WIRE_LIST_MAX) : 0;

    if (!domains)
        return FALSE;
    ret->domains.domains_val = g_new0(wire_domain_row, count + 1);
    ret->domains.domains_len = count;
    for (guint i = 0; i < count; i++)
        api_domain_fill(&ret->domains.domains_val[i], domains->pdata[i]);
    return TRUE;
}

const CstProcedure cst_api_domain_procedures[] = {
    CST_OWN_PROCEDURE(VOL_DOMAINS, LONG, WRITE, "cisternVolDomains", vol_args, domains_ret,
                      api_vol_domains, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(DOMAIN_LIST, LONG, WRITE, "cisternDomainList", domain_list_args,
                      domain_list_ret, api_domain_list, .reads = cst_api_only_reads),
    {0},
};
