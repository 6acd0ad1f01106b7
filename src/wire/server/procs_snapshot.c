/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <service/snapshots.h>

#include "procedures.h"

/* Snapshots of volumes, in Cistern's program. */

static void fill_snapshot(wire_snapshot *wire, CstSnapshot *snapshot)
{
    wire->name = or_empty(g_steal_pointer(&snapshot->name));
    wire->kept_by = or_empty(g_steal_pointer(&snapshot->kept_by));
    wire->created = snapshot->created;
    wire->capacity = snapshot->capacity;
    wire->allocation = snapshot->allocation;
    wire->limit = snapshot->limit;
    wire->machine_state = snapshot->machine_state;
    wire->problem = opt_string(g_steal_pointer(&snapshot->problem));
}

static gboolean list(Call *call, const void *args, void *data, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    wire_snapshot_list_ret *ret = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, vol, error);
    g_autoptr(GPtrArray) snapshots =
        pool ? cst_vol_snapshots(pool, vol->name, call->task, error) : NULL;

    if (!snapshots || !check_max((int)MIN(snapshots->len, G_MAXINT), WIRE_LIST_MAX, "snapshots",
                                 "WIRE_LIST_MAX", error))
        return FALSE;
    ret->snapshots.snapshots_val = g_new0(wire_snapshot, snapshots->len + 1);
    for (guint i = 0; i < snapshots->len; i++)
        fill_snapshot(&ret->snapshots.snapshots_val[ret->snapshots.snapshots_len++],
                      g_ptr_array_index(snapshots, i));
    return TRUE;
}

static gboolean create(Call *call, const void *data, void *ret, GError **error)
{
    const wire_snapshot_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool && cst_vol_snapshot_create(pool, args->vol.name, args->name, args->limit,
                                           call->task, error);
}

static gboolean revert(Call *call, const void *data, void *ret, GError **error)
{
    const wire_snapshot_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool && cst_vol_snapshot_revert(pool, args->vol.name, args->name, call->task, error);
}

static gboolean delete (Call *call, const void *data, void *ret, GError **error)
{
    const wire_snapshot_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool && cst_vol_snapshot_delete(pool, args->vol.name, args->name, call->task, error);
}

static gboolean rename_one(Call *call, const void *data, void *ret, GError **error)
{
    const wire_snapshot_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool && cst_vol_snapshot_rename(pool, args->vol.name, args->name, args->other,
                                           call->task, error);
}

static gboolean clone_one(Call *call, const void *data, void *ret, GError **error)
{
    const wire_snapshot_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool &&
           cst_vol_snapshot_clone(pool, args->vol.name, args->name, args->other, call->task, error);
}

#define CHANGE(number, api, permission, handler)                                                \
    {                                                                                           \
        WIRE_CISTERN_SNAPSHOT_##number, RUN_LONG, NEEDS_WRITE, api, permission,                 \
            CST_WIRE_FROM_STORAGE, WIRE_TYPE(snapshot_args), NOTHING, handler, NULL, NULL, NULL \
    }

const Procedure procedures_snapshot[] = {
    {WIRE_CISTERN_SNAPSHOT_LIST, RUN_LONG, NEEDS_READ, "cisternVolSnapshotList", "storage_vol:read",
     CST_WIRE_FROM_STORAGE, WIRE_TYPE(vol_args), WIRE_TYPE(snapshot_list_ret), list, NULL, NULL,
     NULL},
    CHANGE(CREATE, "cisternVolSnapshotCreate", "storage_vol:create", create),
    CHANGE(REVERT, "cisternVolSnapshotRevert", "storage_vol:format", revert),
    CHANGE(DELETE, "cisternVolSnapshotDelete", "storage_vol:delete", delete),
    CHANGE(RENAME, "cisternVolSnapshotRename", "storage_vol:create", rename_one),
    CHANGE(CLONE, "cisternVolSnapshotClone", "storage_vol:create", clone_one),
    {0},
};
