/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for snapshots of volumes. They belong to Cistern's program, because libvirt has no
 * snapshots of storage volumes. All are LONG, because a list requires reading the image or querying
 * the storage technology.
 */
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <service/snapshots.h>

#include "api_private.h"

static void fill_snapshot(wire_snapshot *wire, CstSnapshot *snapshot)
{
    wire->name = cst_api_text(g_steal_pointer(&snapshot->name));
    wire->kept_by = cst_api_text(g_steal_pointer(&snapshot->kept_by));
    wire->created = snapshot->created;
    wire->capacity = snapshot->capacity;
    wire->allocation = snapshot->allocation;
    wire->limit = snapshot->limit;
    wire->machine_state = snapshot->machine_state;
    wire->problem = cst_api_opt(g_steal_pointer(&snapshot->problem));
    wire->consistency = snapshot->consistency;
    wire->consistency_reason = cst_api_opt(g_steal_pointer(&snapshot->consistency_reason));
}

static gboolean api_snapshot_list(CstApiCall *call, const void *args, void *data, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    wire_snapshot_list_ret *ret = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, vol, error);
    g_autoptr(GPtrArray) snapshots =
        pool ? cst_vol_snapshots(pool, vol->name, call->task, error) : NULL;

    if (!snapshots || !cst_api_check_max((int)MIN(snapshots->len, G_MAXINT), WIRE_LIST_MAX,
                                         "snapshots", "WIRE_LIST_MAX", error))
        return FALSE;
    ret->snapshots.snapshots_val = g_new0(wire_snapshot, snapshots->len + 1);
    for (guint i = 0; i < snapshots->len; i++)
        fill_snapshot(&ret->snapshots.snapshots_val[ret->snapshots.snapshots_len++],
                      g_ptr_array_index(snapshots, i));
    return TRUE;
}

static gboolean api_snapshot_create(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_snapshot_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool && cst_vol_snapshot_create(pool, args->vol.name, args->name, args->limit,
                                           call->task, error);
}

/* Finds the pool of each volume. The caller unrefs the pools. */
static gboolean snapshot_set_find_pools(CstApiCall *call, const wire_snapshot_set_args *args,
                                        GPtrArray *pools, GArray *volumes, GError **error)
{
    for (guint i = 0; i < args->volumes.volumes_len; i++) {
        const wire_vol *vol = &args->volumes.volumes_val[i];
        CstPool *pool = cst_api_vol_pool(call->service, vol, error);
        const CstSnapshotVolume volume = {.pool = pool, .volume = vol->name};

        if (!pool)
            return FALSE;
        g_ptr_array_add(pools, pool);
        g_array_append_val(volumes, volume);
    }
    return TRUE;
}

static gboolean snapshot_set_read_request(const wire_snapshot_set_args *args, const char *call,
                                          CstSnapshotRequest *ret_request, GError **error)
{
    *ret_request = (CstSnapshotRequest){.name = args->name,
                                        .limit = args->limit,
                                        .minimum = (CstConsistency)args->consistency,
                                        .max_pause_ms = args->max_pause_ms};
    if (!cst_flags_check(args->flags, 0, call, error))
        return FALSE;
    return (args->consistency < CST_CONSISTENCY_LAST &&
            args->max_pause_ms <= CST_SNAPSHOT_PAUSE_MAX_MS) ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("the consistency or the limit of the pause is out of range"));
}

static void snapshot_set_fill(wire_snapshot_set_ret *ret, CstSnapshotSet *set)
{
    ret->one_step = set->one_step;
    ret->span_us = set->span_us;
    ret->consistency = set->consistency;
    ret->reason = cst_api_opt(g_steal_pointer(&set->reason));
    ret->domain = cst_api_opt(g_steal_pointer(&set->domain));
    ret->paused_us = set->paused_us;
    ret->frozen_us = set->frozen_us;
}

/* @qmp: the socket of the monitor of a QEMU; NULL: libvirt manages the machines. */
static gboolean snapshot_set_make(CstApiCall *call, const wire_snapshot_set_args *args,
                                  const char *name, const char *qmp, wire_snapshot_set_ret *ret,
                                  GError **error)
{
    g_autoptr(GPtrArray) pools = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);
    g_autoptr(GArray) volumes = g_array_new(FALSE, FALSE, sizeof(CstSnapshotVolume));
    g_auto(CstSnapshotSet) set = {0};
    CstSnapshotRequest request;

    if (!snapshot_set_read_request(args, name, &request, error))
        return FALSE;
    request.qmp = qmp;
    if (!snapshot_set_find_pools(call, args, pools, volumes, error) ||
        !cst_vol_snapshot_create_set((const CstSnapshotVolume *)(void *)volumes->data, volumes->len,
                                     &request, call->task, &set, error))
        return FALSE;
    snapshot_set_fill(ret, &set);
    return TRUE;
}

static gboolean api_snapshot_create_set(CstApiCall *call, const void *data, void *ret,
                                        GError **error)
{
    return snapshot_set_make(call, data, "cisternVolSnapshotCreateSet", NULL, ret, error);
}

static gboolean api_snapshot_create_qmp(CstApiCall *call, const void *data, void *ret,
                                        GError **error)
{
    const wire_snapshot_qmp_args *args = data;

    return snapshot_set_make(call, &args->snapshots, "cisternVolSnapshotCreateQmp", args->socket,
                             ret, error);
}

/* Reads the checkpoints of the request. @bases borrows their names; NULL: no changes are wanted. */
static gboolean live_read_checkpoints(const wire_live_create_args *args, GPtrArray *bases,
                                      CstLiveRequest *request, GError **error)
{
    guint count = args->bases.bases_len;

    if (count > 0 && count != args->snapshots.volumes.volumes_len)
        return cst_fail(error, CST_ERROR_INVALID, "%s",
                        _("the number of checkpoints is not that of the volumes"));
    for (guint i = 0; i < count; i++) {
        const char *base = args->bases.bases_val[i];

        g_ptr_array_add(bases, *base ? (gpointer)base : NULL);
    }
    request->bases = count > 0 ? (const char *const *)bases->pdata : NULL;
    request->checkpoint = *args->checkpoint ? args->checkpoint : NULL;
    return TRUE;
}

static gboolean api_live_create(CstApiCall *call, const void *data, void *result, GError **error)
{
    const wire_live_create_args *live_args = data;
    const wire_snapshot_set_args *args = &live_args->snapshots;
    g_autoptr(GPtrArray) bases = g_ptr_array_new();
    g_autoptr(GPtrArray) pools = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);
    g_autoptr(GArray) volumes = g_array_new(FALSE, FALSE, sizeof(CstSnapshotVolume));
    g_auto(CstSnapshotSet) set = {0};
    CstLiveRequest request = {0};

    if (!snapshot_set_read_request(args, "cisternLiveCreate", &request.snapshot, error) ||
        !live_read_checkpoints(live_args, bases, &request, error) ||
        !snapshot_set_find_pools(call, args, pools, volumes, error) ||
        !cst_live_snapshots_create(call->session->live,
                                   (const CstSnapshotVolume *)(void *)volumes->data, volumes->len,
                                   &request, call->task, &set, error))
        return FALSE;
    snapshot_set_fill(result, &set);
    return TRUE;
}

static gboolean api_live_end(CstApiCall *call, const void *data, void *result, GError **error)
{
    return cst_live_snapshots_end(call->session->live, ((const wire_live_end_args *)data)->name,
                                  error);
}

static gboolean api_snapshot_revert_losses(CstApiCall *call, const void *data, void *result,
                                           GError **error)
{
    const wire_snapshot_args *args = data;
    wire_snapshot_lost_ret *ret = result;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);
    g_autoptr(GPtrArray) names =
        pool ? cst_vol_snapshot_revert_loses(pool, args->vol.name, args->name, call->task, error)
             : NULL;

    if (!names || !cst_api_check_max((int)MIN(names->len, G_MAXINT), WIRE_LIST_MAX, "snapshots",
                                     "WIRE_LIST_MAX", error))
        return FALSE;
    ret->names.names_val = g_new0(char *, names->len + 1);
    for (guint i = 0; i < names->len; i++)
        ret->names.names_val[ret->names.names_len++] = cst_api_text(g_strdup(names->pdata[i]));
    return TRUE;
}

/* args->other is a list of names with '/' as separator; a snapshot's name contains no '/'. */
static gboolean api_snapshot_revert(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_snapshot_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);
    g_auto(GStrv) agreed = g_strsplit(args->other, "/", -1);

    return pool && cst_vol_snapshot_revert(pool, args->vol.name, args->name,
                                           (const char *const *)agreed, call->task, error);
}

static gboolean api_snapshot_delete(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_snapshot_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool && cst_vol_snapshot_delete(pool, args->vol.name, args->name, call->task, error);
}

static gboolean api_snapshot_rename(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_snapshot_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool && cst_vol_snapshot_rename(pool, args->vol.name, args->name, args->other,
                                           call->task, error);
}

static gboolean api_snapshot_clone(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_snapshot_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool &&
           cst_vol_snapshot_clone(pool, args->vol.name, args->name, args->other, call->task, error);
}

static void fill_changed(wire_vol_changed_ret *ret, CstChanged *changed)
{
    ret->capacity = changed->capacity;
    ret->next = changed->next;
    ret->identity = cst_api_text(g_steal_pointer(&changed->identity));
    ret->ranges.ranges_val = g_new0(wire_range, changed->ranges->len + 1);
    ret->ranges.ranges_len = changed->ranges->len;
    for (guint i = 0; i < changed->ranges->len; i++) {
        const CstRange *range = &g_array_index(changed->ranges, CstRange, i);

        ret->ranges.ranges_val[i] = (wire_range){range->offset, range->length};
    }
}

static gboolean api_vol_changed(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_changed_args *args = data;
    g_auto(CstChanged) changed = {.offset = args->offset, .max = WIRE_LIST_MAX};
    g_autoptr(CstPool) pool = NULL;

    if (!cst_flags_check(args->flags, 0, "cisternVolChanged", error))
        return FALSE;
    pool = cst_api_vol_pool(call->service, &args->vol, error);
    if (!pool || !cst_vol_changed(pool, args->vol.name, args->since, cst_api_opt_text(args->until),
                                  call->task, &changed, error))
        return FALSE;
    fill_changed(ret, &changed);
    return TRUE;
}

G_STATIC_ASSERT(WIRE_PROPERTIES_BACKING == (int)CST_VOL_PROPERTY_BACKING &&
                WIRE_PROPERTIES_SNAPSHOTS == (int)CST_VOL_PROPERTY_SNAPSHOTS &&
                WIRE_PROPERTIES_RESCAN == (int)CST_VOL_PROPERTIES_RESCAN);

static gboolean api_vol_properties_page(CstApiCall *call, const void *data, void *ret_data,
                                        GError **error)
{
    const wire_vol_properties_args *args = data;
    wire_vol_properties_page_ret *ret = ret_data;
    g_autoptr(GArray) all = NULL;
    g_autoptr(CstPool) pool = NULL;

    if (!cst_flags_check(args->flags,
                         WIRE_PROPERTIES_BACKING | WIRE_PROPERTIES_SNAPSHOTS |
                             WIRE_PROPERTIES_RESCAN,
                         "cisternVolPropertiesPage", error))
        return FALSE;
    pool = cst_api_pool(call->service, &args->pool, error);
    all = pool ? cst_pool_vols_properties(pool, (const char *const *)args->names.names_val,
                                          args->names.names_len, args->flags, call->task, error)
               : NULL;
    if (!all)
        return FALSE;
    ret->rows.rows_val = g_new0(wire_vol_properties_row, all->len + 1);
    ret->rows.rows_len = all->len;
    for (guint i = 0; i < all->len; i++) {
        CstVolProperties *properties = &g_array_index(all, CstVolProperties, i);

        ret->rows.rows_val[i] = (wire_vol_properties_row){
            cst_api_opt(g_steal_pointer(&properties->backing)), properties->snapshots};
    }
    return TRUE;
}

#define ROW(number, needs, ...) CST_OWN_PROCEDURE(SNAPSHOT_##number, LONG, needs, __VA_ARGS__)

const CstProcedure cst_api_snapshot_procedures[] = {
    ROW(LIST, READ, "cisternVolSnapshotList", vol_args, snapshot_list_ret, api_snapshot_list),
    ROW(CREATE, WRITE, "cisternVolSnapshotCreate", snapshot_args, void, api_snapshot_create),
    ROW(CREATE_SET, WRITE, "cisternVolSnapshotCreateSet", snapshot_set_args, snapshot_set_ret,
        api_snapshot_create_set),
    ROW(CREATE_QMP, WRITE, "cisternVolSnapshotCreateQmp", snapshot_qmp_args, snapshot_set_ret,
        api_snapshot_create_qmp),
    ROW(LOST, READ, "cisternVolSnapshotLost", snapshot_args, snapshot_lost_ret,
        api_snapshot_revert_losses),
    ROW(REVERT, WRITE, "cisternVolSnapshotRevert", snapshot_args, void, api_snapshot_revert),
    ROW(DELETE, WRITE, "cisternVolSnapshotDelete", snapshot_args, void, api_snapshot_delete),
    ROW(RENAME, WRITE, "cisternVolSnapshotRename", snapshot_args, void, api_snapshot_rename),
    ROW(CLONE, WRITE, "cisternVolSnapshotClone", snapshot_args, void, api_snapshot_clone),
    CST_OWN_PROCEDURE(LIVE_CREATE, LONG, WRITE, "cisternLiveCreate", live_create_args,
                      snapshot_set_ret, api_live_create),
    CST_OWN_PROCEDURE(LIVE_END, LONG, WRITE, "cisternLiveEnd", live_end_args, void, api_live_end),
    CST_OWN_PROCEDURE(VOL_PROPERTIES_PAGE, LONG, READ, "cisternVolPropertiesPage",
                      vol_properties_args, vol_properties_page_ret, api_vol_properties_page),
    CST_OWN_PROCEDURE(VOL_CHANGED, LONG, WRITE, "cisternVolChanged", vol_changed_args,
                      vol_changed_ret, api_vol_changed, .reads = cst_api_only_reads),
    {0},
};
