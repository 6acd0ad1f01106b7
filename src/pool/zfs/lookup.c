/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds a volume and its snapshots. The snapshots are read anew; the volume may be from a cached
 * report.
 */
#include "zfs.h"

#include <string.h>

void zfs_lookup_clear(ZfsLookup *found)
{
    g_clear_pointer(&found->datasets, g_ptr_array_unref);
    g_clear_pointer(&found->snapshots, g_ptr_array_unref);
}

const ZfsSnapshot *zfs_snapshot_named(const GPtrArray *snapshots, const char *name, guint *ret_at)
{
    for (guint i = 0; i < snapshots->len; i++) {
        const ZfsSnapshot *snapshot = g_ptr_array_index(snapshots, i);

        if (strcmp(snapshot->name, name) != 0)
            continue;
        if (ret_at)
            *ret_at = i;
        return snapshot;
    }
    return NULL;
}

/*
 * The callers' changes verify that the volume is still the same, so the cached report is
 * sufficient.
 */
gboolean zfs_look_up(CstPoolState *state, const char *volume, const char *name, ZfsLookup *found,
                     GError **error)
{
    found->volume = zfs_look_volume(ZFS(state), volume, &found->datasets, error);
    if (!found->volume)
        return FALSE;
    found->snapshots = zfs_read_snapshots(found->volume->name, FALSE, error);
    if (found->snapshots && name)
        found->snapshot = zfs_snapshot_named(found->snapshots, name, &found->at);
    return found->snapshots != NULL;
}

gboolean zfs_find_snapshot(CstPoolState *state, const char *volume, const char *name,
                           ZfsLookup *found, GError **error)
{
    if (!zfs_look_up(state, volume, name, found, error))
        return FALSE;
    return found->snapshot || cst_fail_no_snapshot(volume, name, error);
}

char *zfs_snapshot_of(const ZfsDataset *volume, const char *name)
{
    return g_strdup_printf("%s@%s", volume->name, name);
}
