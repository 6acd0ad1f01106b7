/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks of the disks of one running domain.
 *
 * A disk with type='volume' has no path in the document of its domain, and its pool may be a
 * different pool of libvirt with the same name. virConnectGetAllDomainStats() has the path. With a
 * job, many calls of libvirt would wait up to 30 s for a lock of libvirt.
 */
#include "disk.h"

#include <string.h>

#define STATS_FLAGS \
    (VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)

const char *record_disk_path(virDomainStatsRecordPtr record, const char *target)
{
    unsigned count = 0;

    virTypedParamsGetUInt(record->params, record->nparams, "block.count", &count);
    for (guint i = 0; i < count && i < CST_DOMAIN_LAYERS_MAX; i++)
        if (g_strcmp0(record_text(record, i, "name"), target) == 0)
            return record_text(record, i, "path");
    return NULL;
}

int helper_get_stats(Helper *helper, virDomainStatsRecordPtr **ret_records)
{
    return virConnectGetAllDomainStats(helper->conn, VIR_DOMAIN_STATS_BLOCK, ret_records,
                                       STATS_FLAGS);
}

virDomainStatsRecordPtr helper_record_of(virDomainStatsRecordPtr *records, int count,
                                         const char *uuid)
{
    for (int i = 0; i < count; i++) {
        char found[VIR_UUID_STRING_BUFLEN] = "";

        virDomainGetUUIDString(records[i]->dom, found);
        if (strcmp(found, uuid) == 0)
            return records[i];
    }
    return NULL;
}

char *helper_stats_path(Helper *helper, const char *uuid, const char *target)
{
    virDomainStatsRecordPtr *records = NULL;
    int count = helper_get_stats(helper, &records);
    virDomainStatsRecordPtr record;
    char *path;

    if (count < 0) {
        helper_fail_libvirt(helper);
        return NULL;
    }
    record = helper_record_of(records, count, uuid);
    path = record ? g_strdup(record_disk_path(record, target)) : NULL;
    virDomainStatsRecordListFree(records);
    return path;
}

gboolean helper_stats_show_volume(Helper *helper, const char *uuid, const char *target)
{
    g_autofree char *path = helper_stats_path(helper, uuid, target);

    return path && helper_path_is_volume(helper, path);
}

/*
 * Returns the path of a layer in the record, borrowed, or NULL. The top layer of a disk precedes
 * its other ones.
 */
static const char *record_layer_path(virDomainStatsRecordPtr record, const CstDomainLayer *layer)
{
    unsigned count = 0;

    if (layer->level == 0)
        return record_disk_path(record, layer->target);
    virTypedParamsGetUInt(record->params, record->nparams, "block.count", &count);
    for (guint i = 0; i < count && i < CST_DOMAIN_LAYERS_MAX; i++) {
        g_autofree char *key = g_strdup_printf("block.%u.backingIndex", i), *index = NULL;
        unsigned number;

        if (virTypedParamsGetUInt(record->params, record->nparams, key, &number) != 1)
            continue;
        index = g_strdup_printf("%u", number);
        if (g_strcmp0(index, layer->index) == 0 &&
            g_strcmp0(record_text(record, i, "name"), layer->target) == 0)
            return record_text(record, i, "path");
    }
    return NULL;
}

gboolean helper_fill_paths(Helper *helper, const char *uuid, CstDomainDef *def)
{
    virDomainStatsRecordPtr *records = NULL, record = NULL;
    int count;

    for (guint i = 0; i < def->layers->len; i++) {
        CstDomainLayer *layer = g_ptr_array_index(def->layers, i);

        if (layer->path || !layer->pool)
            continue;
        if (!records) {
            count = virConnectGetAllDomainStats(helper->conn, VIR_DOMAIN_STATS_BLOCK, &records,
                                                STATS_FLAGS |
                                                    VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING);
            if (count < 0)
                return helper_fail_libvirt(helper);
            record = helper_record_of(records, count, uuid);
        }
        layer->path = record ? g_strdup(record_layer_path(record, layer)) : NULL;
    }
    if (records)
        virDomainStatsRecordListFree(records);
    return TRUE;
}

gboolean helper_volume_is_below(Helper *helper, const CstDomainDef *def, const char *target)
{
    for (guint i = 0; i < def->layers->len; i++) {
        const CstDomainLayer *layer = g_ptr_array_index(def->layers, i);

        if (layer->level > 0 && (!target || g_strcmp0(layer->target, target) == 0) &&
            helper_path_is_volume(helper, layer->path))
            return TRUE;
    }
    return FALSE;
}

int domain_has_job(virDomainPtr domain)
{
    virDomainJobInfo job = {.type = VIR_DOMAIN_JOB_NONE};

    if (virDomainGetJobInfo(domain, &job) < 0 && libvirt_code() != VIR_ERR_NO_SUPPORT)
        return -1;
    return job.type != VIR_DOMAIN_JOB_NONE;
}

int domain_has_block_job(virDomainPtr domain, const char *target)
{
    virDomainBlockJobInfo job;
    int found = virDomainGetBlockJobInfo(domain, target, &job, 0);

    if (found < 0)
        return libvirt_code() == VIR_ERR_NO_SUPPORT ? 0 : -1;
    return found > 0;
}
