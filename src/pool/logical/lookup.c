/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds a volume and its snapshots in one report. */
#include "logical.h"

#include <string.h>

void logical_lookup_clear(LogicalLookup *found)
{
    g_clear_pointer(&found->group, lvm_group_unref);
    g_clear_pointer(&found->id, g_free);
}

/*
 * Finds the volume in @group, and consumes the reference to @group. Returns its snapshots, oldest
 * first; NULL with @error.
 */
static GPtrArray *lookup_find_volume(LvmGroup *group, const char *volume, LogicalLookup *found,
                                     GError **error)
{
    logical_lookup_clear(found);
    *found = (LogicalLookup){.group = group};
    found->volume = group ? logical_find(group, volume, error) : NULL;
    if (!found->volume)
        return NULL;
    found->id = logical_volume_id(found->volume);
    return logical_snapshots_of(group, found->id);
}

const LvmVolume *logical_snapshot_named(const LogicalLookup *found, const char *name)
{
    g_autoptr(GPtrArray) snapshots = logical_snapshots_of(found->group, found->id);
    const LvmVolume *last = NULL;

    for (guint i = 0; i < snapshots->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(snapshots, i);
        g_autofree char *called = logical_tag_value(lv, "snap");

        if (g_strcmp0(called, name) == 0)
            last = lv;
    }
    return last;
}

gboolean logical_look_up_in(LvmGroup *group, const char *volume, const char *name,
                            LogicalLookup *found, GError **error)
{
    g_autoptr(GPtrArray) snapshots = lookup_find_volume(group, volume, found, error);

    if (snapshots)
        found->snapshot = logical_snapshot_named(found, name);
    return snapshots != NULL;
}

gboolean logical_find_snapshot_in(LvmGroup *group, const char *volume, const char *name,
                                  LogicalLookup *found, GError **error)
{
    if (!logical_look_up_in(group, volume, name, found, error))
        return FALSE;
    return found->snapshot || cst_fail_no_snapshot(volume, name, error);
}

gboolean logical_look_up(CstPoolState *state, const char *volume, const char *name, gboolean now,
                         LogicalLookup *found, GError **error)
{
    LogicalState *logical = LOGICAL(state);
    g_autoptr(GPtrArray) snapshots =
        lookup_find_volume(logical_group_cached(logical, error), volume, found, error);

    if (snapshots && snapshots->len > 0 && now) {
        g_ptr_array_unref(snapshots);
        snapshots =
            lookup_find_volume(logical_group_read(logical, NULL, error), volume, found, error);
    }
    if (snapshots && name)
        found->snapshot = logical_snapshot_named(found, name);
    return snapshots != NULL;
}

gboolean logical_find_snapshot(CstPoolState *state, const char *volume, const char *name,
                               gboolean now, LogicalLookup *found, GError **error)
{
    if (!logical_look_up(state, volume, name, now, found, error))
        return FALSE;
    if (!found->snapshot)
        cst_fail_no_snapshot(volume, name, error);
    return found->snapshot != NULL;
}
