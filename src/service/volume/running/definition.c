/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "definition.h"

#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <hypervisor/job.h>
#include <service/domains.h>

#include "core/intent.h"
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

/* *ret_domains is empty if libvirt has no such domain. */
static gboolean definition_find(CstService *service, const char *uuid, GPtrArray **ret_domains,
                                GError **error)
{
    g_autoptr(GError) why = NULL;

    *ret_domains = cst_service_domains(service, uuid, NULL, &why);
    if (*ret_domains)
        return TRUE;
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (!cst_hypervisor_is_used(service->hypervisor))
        return cst_fail(error, CST_ERROR_UNREACHABLE, "%s", why->message);
    *ret_domains = g_ptr_array_new();
    return TRUE;
}

gboolean running_definition_read(CstService *service, const CstIntentRecord *record,
                                 char **ret_pool, char **ret_volume, GError **error)
{
    const char *uuid = g_hash_table_lookup(record->fields, "domain");
    const char *target = g_hash_table_lookup(record->fields, "target");
    g_autoptr(GPtrArray) domains = NULL;

    *ret_pool = *ret_volume = NULL;
    if (!block_job_has_ended(service, uuid, error) ||
        !definition_find(service, uuid, &domains, error))
        return FALSE;
    for (guint i = 0; domains->len > 0 && i < ((CstDomain *)domains->pdata[0])->drives->len; i++) {
        const CstDomainDrive *drive = ((CstDomain *)domains->pdata[0])->drives->pdata[i];

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

gboolean running_record_names(const CstIntentRecord *record, const char *pool_field,
                              const char *volume_field, const char *pool, const char *volume)
{
    return g_strcmp0(g_hash_table_lookup(record->fields, pool_field), pool) == 0 &&
           g_strcmp0(g_hash_table_lookup(record->fields, volume_field), volume) == 0;
}

gboolean running_record_claim(CstService *service, const CstIntentRecord *record,
                              const char *pool_field, const char *volume_field,
                              const char *identity_field, VolumeClaim *claim,
                              CstVolume **ret_volume, GError **error)
{
    const char *name = g_hash_table_lookup(record->fields, volume_field);
    g_autoptr(CstPool) pool =
        cst_service_pool_by_name(service, g_hash_table_lookup(record->fields, pool_field), error);
    g_autoptr(GError) why = NULL;

    *ret_volume = NULL;
    if (!pool)
        return FALSE;
    claim->at_once = TRUE;
    if (!volume_claim_now(claim, pool, name, CLAIM_WRITE, ret_volume, &why) &&
        !g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (*ret_volume &&
        !intent_keep_if_same(record->fields, identity_field, claim->state, ret_volume, error))
        return FALSE;
    if (!*ret_volume)
        volume_release(claim);
    return TRUE;
}
