/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots of volumes, as listed. */
#include <model/snapshot.h>

#include <string.h>

void cst_snapshot_free(CstSnapshot *snapshot)
{
    if (!snapshot)
        return;
    g_free(snapshot->name);
    g_free(snapshot->kept_by);
    g_free(snapshot->problem);
    g_free(snapshot->consistency_reason);
    g_free(snapshot);
}

const CstSnapshot *cst_snapshot_find(const GPtrArray *snapshots, const char *name)
{
    for (guint i = 0; i < snapshots->len; i++) {
        const CstSnapshot *snapshot = g_ptr_array_index(snapshots, i);

        if (strcmp(snapshot->name, name) == 0)
            return snapshot;
    }
    return NULL;
}

void cst_snapshot_set_clear(CstSnapshotSet *set)
{
    g_clear_pointer(&set->reason, g_free);
    g_clear_pointer(&set->domain, g_free);
}

void cst_snapshot_read_record(CstSnapshot *snapshot, const char *record)
{
    g_free(snapshot->consistency_reason);
    cst_consistency_record_parse(record, &snapshot->consistency, &snapshot->consistency_reason);
}
