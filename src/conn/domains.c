/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed calls about libvirt's domains that use volumes. A stock server does not support them. */
#include <conn/domains.h>

#include <base/i18n.h>
#include <service/domains.h>
#include <service/service.h>
#include <store/paths.h>

#include "conn_private.h"

/* Makes a disk from a reply. Takes ownership of its strings. */
static CstDomainDisk *domain_disk_from_wire(wire_domain_disk *wire)
{
    CstDomainDisk *disk = g_new0(CstDomainDisk, 1);

    *disk = (CstDomainDisk){
        .domain = g_steal_pointer(&wire->domain),
        .uuid = g_steal_pointer(&wire->uuid),
        .target = g_steal_pointer(&wire->target),
        .state = (CstDomainState)wire->state,
        .agent = (CstDomainAgent)wire->agent,
        .level = wire->level,
        .reads_only = (wire->flags & WIRE_DOMAIN_READS_ONLY) != 0,
        .shareable = (wire->flags & WIRE_DOMAIN_SHAREABLE) != 0,
    };
    return disk;
}

GPtrArray *cst_conn_vol_domains(CstConn *conn, const CstVolRef *vol, GError **error)
{
    wire_vol_args args = {cst_vol_arg(vol)};
    wire_domains_ret ret = {0};
    GPtrArray *disks;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_DOMAINS, &args, &ret, NULL, error))
        return NULL;
    disks = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_disk_free);
    for (guint i = 0; i < ret.disks.disks_len; i++)
        g_ptr_array_add(disks, domain_disk_from_wire(&ret.disks.disks_val[i]));
    xdr_free((xdrproc_t)xdr_wire_domains_ret, (char *)&ret);
    return disks;
}

static void domain_add_drive(CstDomain *domain, wire_domain_drive *wire)
{
    CstDomainDrive *drive = g_new0(CstDomainDrive, 1);

    *drive = (CstDomainDrive){
        .target = g_steal_pointer(&wire->target),
        .path = cst_opt_take(wire->path),
        .pool = cst_opt_take(wire->pool),
        .volume = cst_opt_take(wire->volume),
        .problem = cst_opt_take(wire->problem),
        .reads_only = (wire->flags & WIRE_DOMAIN_READS_ONLY) != 0,
        .shareable = (wire->flags & WIRE_DOMAIN_SHAREABLE) != 0,
    };
    g_ptr_array_add(domain->drives, drive);
}

static CstDomain *domain_from_wire(wire_domain_row *wire)
{
    CstDomain *domain = cst_domain_new();

    domain->name = g_steal_pointer(&wire->name);
    domain->uuid = g_steal_pointer(&wire->uuid);
    domain->document = g_steal_pointer(&wire->document);
    domain->state = (CstDomainState)wire->state;
    domain->agent = (CstDomainAgent)wire->agent;
    for (guint i = 0; i < wire->drives.drives_len; i++)
        domain_add_drive(domain, &wire->drives.drives_val[i]);
    return domain;
}

GPtrArray *cst_conn_domains(CstConn *conn, const char *name, GError **error)
{
    char *text = (char *)name;
    wire_domain_list_args args = {cst_opt_arg(&text)};
    wire_domain_list_ret ret = {0};
    GPtrArray *domains;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_DOMAIN_LIST, &args, &ret, NULL, error))
        return NULL;
    domains = g_ptr_array_new_with_free_func((GDestroyNotify)cst_domain_free);
    for (guint i = 0; i < ret.domains.domains_len; i++)
        g_ptr_array_add(domains, domain_from_wire(&ret.domains.domains_val[i]));
    xdr_free((xdrproc_t)xdr_wire_domain_list_ret, (char *)&ret);
    return domains;
}

gboolean cst_conn_domain_define(CstConn *conn, const char *name, const char *uuid,
                                const char *document, GError **error)
{
    g_autoptr(CstPaths) paths = cst_paths_new(conn->root);

    if (conn->uri.target == CST_URI_SSH)
        return cst_fail(error, CST_ERROR_NO_SUPPORT, "%s",
                        _("cannot define a domain on another host; run the command there, or "
                          "define the domain of its output with virsh"));
    if (document && conn->read_only)
        return cst_fail(error, CST_ERROR_READ_ONLY, "%s",
                        _("cannot define a domain over a read-only connection"));
    return cst_service_define_domain(paths, name, uuid, conn->dry_run ? NULL : document, error);
}

void cst_conn_run_helper(int argc, char **argv)
{
    cst_service_run_helper(argc, argv);
}
