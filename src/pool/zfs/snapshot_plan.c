/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command that creates snapshots, and snapshots of the disks of a running guest. The guest
 * stands only for one command, for all volumes of the pool:
 *
 * - plan_begin reads the volumes and their snapshots. The names are free.
 * - plan_rehearse reads the volumes again, which takes about as long as the command.
 * - plan_make runs the command.
 * - plan_commit reads the snapshots. The volumes are those of plan_begin. The property with the
 *   record gets the consistency that was verified.
 */
#include "zfs.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <pool/rehearsal.h>

gboolean zfs_snapshot_check_how(const CstSnapshotCreate *how, GError **error)
{
    return !how || !how->limit ||
           cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED,
                    _("snapshots of ZFS have no size of their own"));
}

char *zfs_snapshot_record(const CstSnapshotCreate *how)
{
    return how ? cst_consistency_record(how->consistency, how->consistency_reason) : NULL;
}

/*
 * Runs:
 *
 *     zfs snapshot -o cistern:consistency=RECORD DATASET@NAME…
 *
 * ZFS creates the snapshots of one command in one transaction group, completely or not at all.
 */
gboolean zfs_snapshots_make(const ZfsState *state, const GPtrArray *wanted, const char *record,
                            CstTask *task, GError **error)
{
    g_autofree char *property = g_strdup_printf(ZFS_CONSISTENCY "=%s", record ? record : "");
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    g_ptr_array_add(argv, (gpointer) "zfs");
    g_ptr_array_add(argv, (gpointer) "snapshot");
    if (record) {
        g_ptr_array_add(argv, (gpointer) "-o");
        g_ptr_array_add(argv, property);
    }
    for (guint i = 0; i < wanted->len; i++)
        g_ptr_array_add(argv, g_ptr_array_index(wanted, i));
    g_ptr_array_add(argv, NULL);
    return zfs_change_vector(state, argv, task, error);
}

/* --- plans ------------------------------------------------------------------------------------ */

struct CstSnapshotPlan {
    char *name;
    char *record;         /* of the consistency, which plan_make sets; NULL: no record */
    GPtrArray *volumes;   /* names */
    GPtrArray *datasets;  /* their full names */
    GPtrArray *guids;     /* of the datasets */
    GPtrArray *wanted;    /* full names of the snapshots */
    int64_t rehearsed_us; /* time of the rehearsal */
};

void zfs_plan_end(CstPoolState *state, CstSnapshotPlan *plan)
{
    g_ptr_array_unref(plan->volumes);
    g_ptr_array_unref(plan->datasets);
    g_ptr_array_unref(plan->guids);
    g_ptr_array_unref(plan->wanted);
    g_free(plan->record);
    g_free(plan->name);
    g_free(plan);
}

static gboolean plan_add(CstPoolState *state, CstSnapshotPlan *plan, const char *volume,
                         GError **error)
{
    g_auto(ZfsLookup) found = {0};

    if (!zfs_look_up(state, volume, plan->name, &found, error))
        return FALSE;
    if (found.snapshot)
        return cst_fail_snapshot_exists(volume, plan->name, error);
    g_ptr_array_add(plan->volumes, g_strdup(volume));
    g_ptr_array_add(plan->datasets, g_strdup(found.volume->name));
    g_ptr_array_add(plan->guids, g_strdup(found.volume->guid));
    g_ptr_array_add(plan->wanted, zfs_snapshot_of(found.volume, plan->name));
    return TRUE;
}

gboolean zfs_plan_begin(CstPoolState *state, const char *const *volumes, const char *name,
                        const CstSnapshotCreate *how, CstSnapshotPlan **ret_plan, GError **error)
{
    CstSnapshotPlan *plan;

    if (!zfs_snapshot_check_how(how, error) || !zfs_snapshot_name_check(name, error))
        return FALSE;
    plan = g_new0(CstSnapshotPlan, 1);
    plan->name = g_strdup(name);
    plan->record = zfs_snapshot_record(how);
    plan->volumes = g_ptr_array_new_with_free_func(g_free);
    plan->datasets = g_ptr_array_new_with_free_func(g_free);
    plan->guids = g_ptr_array_new_with_free_func(g_free);
    plan->wanted = g_ptr_array_new_with_free_func(g_free);
    for (; *volumes; volumes++)
        if (!plan_add(state, plan, *volumes, error)) {
            zfs_plan_end(state, plan);
            return FALSE;
        }
    *ret_plan = plan;
    return TRUE;
}

/* Fails with BUSY unless dataset @index in @datasets is the one of plan_begin. */
static gboolean plan_check_volume(const CstSnapshotPlan *plan, guint index,
                                  const GPtrArray *datasets, GError **error)
{
    const ZfsDataset *found = zfs_datasets_find(datasets, plan->datasets->pdata[index]);

    return (found && strcmp(found->guid, plan->guids->pdata[index]) == 0) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("cannot make snapshot '%s' of volume '%s': the volume was replaced in the "
                      "meantime; try again"),
                    plan->name, (const char *)plan->volumes->pdata[index]);
}

gboolean zfs_plan_rehearse(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task,
                           uint64_t *ret_us, GError **error)
{
    gint64 began = g_get_monotonic_time();
    g_autoptr(GPtrArray) names = g_ptr_array_copy(plan->datasets, NULL, NULL);
    g_autoptr(GPtrArray) datasets = NULL;

    g_ptr_array_set_free_func(names, NULL);
    g_ptr_array_add(names, NULL);
    datasets = zfs_read(ZFS(state), (const char *const *)names->pdata, error);
    if (!datasets)
        return FALSE;
    plan->rehearsed_us = g_get_monotonic_time() - began;
    *ret_us = cst_rehearsal_predict(&ZFS(state)->snapshot_rehearsal, plan->rehearsed_us);
    for (guint i = 0; i < plan->volumes->len; i++)
        if (!plan_check_volume(plan, i, datasets, error))
            return FALSE;
    return TRUE;
}

gboolean zfs_plan_make(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task, GError **error)
{
    gint64 began = g_get_monotonic_time();

    if (!zfs_snapshots_make(ZFS(state), plan->wanted, plan->record, task, error))
        return FALSE;
    cst_rehearsal_measure(&ZFS(state)->snapshot_rehearsal, plan->rehearsed_us,
                          g_get_monotonic_time() - began);
    return TRUE;
}

/* Runs: zfs set cistern:consistency=RECORD DATASET@NAME */
gboolean zfs_plan_commit(CstPoolState *state, CstSnapshotPlan *plan, guint index,
                         const CstSnapshotCreate *how, GError **error)
{
    const char *volume = plan->volumes->pdata[index], *whole = plan->wanted->pdata[index];
    g_autofree char *record = zfs_snapshot_record(how);
    g_autofree char *property = g_strdup_printf(ZFS_CONSISTENCY "=%s", record ? record : "");
    g_auto(ZfsLookup) found = {0};

    if (!zfs_look_up(state, volume, plan->name, &found, error))
        return FALSE;
    if (!found.snapshot)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'zfs' claims success, but the snapshots of '%s' are as they were"),
                        volume);
    if (!plan_check_volume(plan, index, found.datasets, error))
        return FALSE;
    return g_strcmp0(record, plan->record) == 0 ||
           zfs_change(ZFS(state), NULL, error, "zfs", "set", property, whole, NULL);
}
