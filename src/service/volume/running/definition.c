/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "definition.h"

#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>
#include <hypervisor/job.h>
#include <service/domains.h>

#include "core/intent.h"
#include "core/service.h"
#include "dependency/guard.h"

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

void running_definition_clear(RunningDefinition *definition)
{
    g_clear_pointer(&definition->pool, g_free);
    g_clear_pointer(&definition->volume, g_free);
    g_clear_pointer(&definition->document, g_free);
}

gboolean running_definition_read(CstService *service, const CstIntentRecord *record,
                                 RunningDefinition *ret_definition, GError **error)
{
    const char *uuid = g_hash_table_lookup(record->fields, "domain");
    const char *target = g_hash_table_lookup(record->fields, "target");
    g_autoptr(GPtrArray) domains = NULL;
    const CstDomain *domain;

    *ret_definition = (RunningDefinition){0};
    if (!block_job_has_ended(service, uuid, error) ||
        !definition_find(service, uuid, &domains, error))
        return FALSE;
    if (domains->len == 0)
        return TRUE;
    domain = domains->pdata[0];
    for (guint i = 0; i < domain->drives->len; i++) {
        const CstDomainDrive *drive = domain->drives->pdata[i];

        if (g_strcmp0(drive->target, target) != 0)
            continue;
        if (drive->problem)
            return cst_fail(error, CST_ERROR_UNREACHABLE, "%s", drive->problem);
        ret_definition->pool = g_strdup(drive->pool);
        ret_definition->volume = g_strdup(drive->volume);
        break;
    }
    ret_definition->is_defined = TRUE;
    ret_definition->document = g_strdup(domain->document);
    return TRUE;
}

static gboolean record_has_names(const CstIntentRecord *record, const char *pool_field,
                                 const char *volume_field, const char *pool, const char *volume)
{
    return g_strcmp0(g_hash_table_lookup(record->fields, pool_field), pool) == 0 &&
           g_strcmp0(g_hash_table_lookup(record->fields, volume_field), volume) == 0;
}

gboolean running_definition_names(const RunningDefinition *definition,
                                  const CstIntentRecord *record, const char *pool_field,
                                  const char *volume_field)
{
    return record_has_names(record, pool_field, volume_field, definition->pool, definition->volume);
}

gboolean running_definition_keeps(const RunningDefinition *definition,
                                  const CstIntentRecord *record, const VolumeClaim *claim)
{
    g_autofree char *path = cst_pool_state_vol_path(claim->state, claim->name);
    const char *target = g_hash_table_lookup(record->fields, "target");
    g_autoptr(CstDomainDef) def =
        definition->document ? cst_domain_def_parse(definition->document, NULL) : NULL;

    for (guint i = 0; def && i < def->layers->len; i++) {
        const CstDomainLayer *layer = def->layers->pdata[i];

        if (layer->level == 0 && g_strcmp0(layer->target, target) == 0)
            return layer->path ? g_strcmp0(layer->path, path) == 0
                               : g_strcmp0(layer->pool, cst_pool_name(claim->pool)) == 0 &&
                                     g_strcmp0(layer->volume, claim->name) == 0;
    }
    return FALSE;
}

/* Also shut-off domains have disks. */
static gboolean record_is_in_no_domain(CstService *service, const CstIntentRecord *record,
                                       GError **error)
{
    g_autoptr(GPtrArray) domains = cst_service_domains(service, NULL, NULL, error);

    for (guint i = 0; domains && i < domains->len; i++) {
        const CstDomain *domain = domains->pdata[i];

        for (guint j = 0; j < domain->drives->len; j++) {
            const CstDomainDrive *drive = domain->drives->pdata[j];

            if (drive->volume &&
                (record_has_names(record, "pool", "volume", drive->pool, drive->volume) ||
                 record_has_names(record, "base-pool", "base", drive->pool, drive->volume)))
                return cst_fail(error, CST_ERROR_BUSY, "domain '%s' has volume '%s'", domain->name,
                                drive->volume);
        }
    }
    return domains != NULL;
}

gboolean running_record_is_unused(CstService *service, const CstIntentRecord *record,
                                  const VolumeClaim *claim, GError **error)
{
    const char *name = g_hash_table_lookup(record->fields, "base");
    g_autoptr(CstPool) pool =
        cst_service_pool_by_name(service, g_hash_table_lookup(record->fields, "base-pool"), error);
    g_auto(VolumeClaim) base = {.at_once = TRUE, .after = claim};
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(GError) why = NULL;

    if (!pool || !record_is_in_no_domain(service, record, error) || !volume_not_held(claim, error))
        return FALSE;
    if (volume_claim_now(&base, pool, name, CLAIM_READ, &volume, &why))
        return volume_not_held(&base, error);
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
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
