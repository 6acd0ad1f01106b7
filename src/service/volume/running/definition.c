/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "definition.h"

#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <hypervisor/job.h>
#include <service/domains.h>

#include "core/service.h"

/* A keeper or a repair that works on the domain has an entry. */
static gboolean block_job_has_ended(CstService *service, const char *uuid, GError **error)
{
    g_autofree char *directory = cst_paths_block_job_dir(service->paths);
    g_autofree char *entry = g_build_filename(directory, uuid, NULL);

    if (!cst_hypervisor_job_recover(directory, error))
        return FALSE;
    return access(entry, F_OK) != 0 ||
           cst_fail(error, CST_ERROR_UNREACHABLE,
                    _("the block job of domain '%s' has not ended yet"), uuid);
}

gboolean running_definition_read(CstService *service, const char *uuid, const char *target,
                                 char **ret_pool, char **ret_volume, GError **error)
{
    g_autoptr(GPtrArray) domains = NULL;
    const CstDomain *domain;

    *ret_pool = *ret_volume = NULL;
    if (!block_job_has_ended(service, uuid, error))
        return FALSE;
    domains = cst_service_domains(service, uuid, NULL, error);
    if (!domains)
        return FALSE;
    domain = domains->pdata[0];
    for (guint i = 0; i < domain->drives->len; i++) {
        const CstDomainDrive *drive = domain->drives->pdata[i];

        if (g_strcmp0(drive->target, target) != 0)
            continue;
        if (drive->problem)
            return cst_fail(error, CST_ERROR_UNREACHABLE, "%s", drive->problem);
        *ret_pool = g_strdup(drive->pool);
        *ret_volume = g_strdup(drive->volume);
        return TRUE;
    }
    return TRUE;
}
