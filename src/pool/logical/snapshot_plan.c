/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots of the disks of a running guest. LVM's reports take about as long as its changes, so
 * the guest stands only for one lvcreate for each volume:
 *
 * - plan_begin reads a report with all volumes. The names are free.
 * - plan_rehearse runs each lvcreate with "--test". LVM reads and locks everything as it will, and
 *   finds a lack of space. A full thin pool is explained here. A test writes no metadata and waits
 *   for no device, so the real lvcreate takes some times as long. The last ones show how much.
 * - plan_make runs each lvcreate. It has all tags, so the LV is the snapshot from there on. A thin
 *   snapshot gets no device yet, which takes half of the time.
 * - plan_commit reads a report again: another program may have replaced a volume, or created a
 *   snapshot of the same name. The tag with the record gets the consistency that was verified, and
 *   a thin snapshot its device.
 */
#include "logical.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <pool/rehearsal.h>

/* One of the snapshots. */
typedef struct {
    char *volume;
    char *id;             /* of the volume */
    char *uuid;           /* of the volume's LV */
    char *lv;             /* the future name of the snapshot's LV */
    char *record;         /* of the consistency, which lvcreate sets; NULL: no record */
    uint64_t room;        /* 0: thin */
    int64_t rehearsed_us; /* time of the rehearsal */
} PlannedLv;

struct CstSnapshotPlan {
    char *name;      /* of the snapshots */
    GPtrArray *lvs;  /* of PlannedLv */
    LvmGroup *after; /* a report after plan_make; NULL: not read */
};

static void planned_lv_free(gpointer data)
{
    PlannedLv *planned = data;

    g_free(planned->volume);
    g_free(planned->id);
    g_free(planned->uuid);
    g_free(planned->lv);
    g_free(planned->record);
    g_free(planned);
}

void logical_plan_end(CstPoolState *state, CstSnapshotPlan *plan)
{
    g_free(plan->name);
    g_ptr_array_unref(plan->lvs);
    lvm_group_unref(plan->after);
    g_free(plan);
}

static gboolean plan_add(LogicalState *state, CstSnapshotPlan *plan, LvmGroup *group,
                         const char *volume, const CstSnapshotCreate *how, GError **error)
{
    g_auto(LogicalLookup) found = {0};
    PlannedLv *planned;

    if (!logical_look_up_in(lvm_group_ref(group), volume, plan->name, &found, error) ||
        !logical_snapshot_check(&found, volume, plan->name, error))
        return FALSE;
    planned = g_new0(PlannedLv, 1);
    planned->volume = g_strdup(volume);
    planned->id = g_strdup(found.id);
    planned->uuid = g_strdup(found.volume->uuid);
    planned->lv = cst_hidden_name(LOGICAL_SNAPSHOT_SUFFIX);
    planned->record = cst_consistency_record(how->consistency, how->consistency_reason);
    planned->room = logical_snapshot_room(state, how, found.volume);
    g_ptr_array_add(plan->lvs, planned);
    return TRUE;
}

gboolean logical_plan_begin(CstPoolState *state, const char *const *volumes, const char *name,
                            const CstSnapshotCreate *how, CstSnapshotPlan **ret_plan,
                            GError **error)
{
    g_autoptr(LvmGroup) group = logical_group_read(LOGICAL(state), NULL, error);
    CstSnapshotPlan *plan;

    if (!group)
        return FALSE;
    plan = g_new0(CstSnapshotPlan, 1);
    plan->name = g_strdup(name);
    plan->lvs = g_ptr_array_new_with_free_func(planned_lv_free);
    for (; *volumes; volumes++)
        if (!plan_add(LOGICAL(state), plan, group, *volumes, how, error)) {
            logical_plan_end(state, plan);
            return FALSE;
        }
    *ret_plan = plan;
    return TRUE;
}

/* Returns the command that creates a snapshot now. The caller frees it. */
static char **planned_argv(const LogicalState *state, const CstSnapshotPlan *plan,
                           const PlannedLv *planned)
{
    g_auto(GStrv) tags =
        logical_snapshot_tags(planned->id, plan->name, g_get_real_time(), planned->record);

    return logical_snapshot_argv(state, planned->volume, planned->lv, planned->room, FALSE, tags);
}

static gboolean planned_is_thin(const PlannedLv *planned)
{
    return planned->room == 0;
}

/* Runs: lvcreate --test … */
static gboolean planned_test(LogicalState *state, const CstSnapshotPlan *plan,
                             const PlannedLv *planned, CstTask *task, GError **error)
{
    g_auto(GStrv) command = planned_argv(state, plan, planned), argv = NULL;
    g_autoptr(GStrvBuilder) test = g_strv_builder_new();
    GError *why = NULL;

    g_strv_builder_add_many(test, command[0], "--test", NULL);
    g_strv_builder_addv(test, (const char **)command + 1);
    argv = g_strv_builder_end(test);
    if (lvm_output((const char *const *)argv, lvm_host.report_s, task, NULL, &why))
        return TRUE;
    if (planned_is_thin(planned))
        logical_explain_refused(state, planned->volume, &why);
    g_propagate_error(error, why);
    return FALSE;
}

static CstRehearsal *planned_rehearsal(LogicalState *state, const PlannedLv *planned)
{
    return &state->snapshot_rehearsals[planned_is_thin(planned)];
}

gboolean logical_plan_rehearse(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task,
                               uint64_t *ret_us, GError **error)
{
    *ret_us = 0;
    for (guint i = 0; i < plan->lvs->len; i++) {
        PlannedLv *planned = g_ptr_array_index(plan->lvs, i);
        gint64 began = g_get_monotonic_time();

        if (!planned_test(LOGICAL(state), plan, planned, task, error))
            return FALSE;
        planned->rehearsed_us = g_get_monotonic_time() - began;
        *ret_us += cst_rehearsal_predict(planned_rehearsal(LOGICAL(state), planned),
                                         planned->rehearsed_us);
    }
    return TRUE;
}

gboolean logical_plan_make(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task,
                           GError **error)
{
    for (guint i = 0; i < plan->lvs->len; i++) {
        const PlannedLv *planned = g_ptr_array_index(plan->lvs, i);
        g_auto(GStrv) argv = planned_argv(LOGICAL(state), plan, planned);
        gint64 began = g_get_monotonic_time();

        if (!cst_task_check(task, error) ||
            !logical_changev(LOGICAL(state), (const char *const *)argv, NULL, error))
            return FALSE;
        cst_rehearsal_measure(planned_rehearsal(LOGICAL(state), planned), planned->rehearsed_us,
                              g_get_monotonic_time() - began);
    }
    return TRUE;
}

/* --- after the pause -------------------------------------------------------------------------- */

/* Whether the volume has a second snapshot of that name. */
static gboolean plan_has_second(const CstSnapshotPlan *plan, const PlannedLv *planned)
{
    g_autoptr(GPtrArray) snapshots = logical_snapshots_of(plan->after, planned->id);

    for (guint i = 0; i < snapshots->len; i++) {
        const LvmVolume *lv = g_ptr_array_index(snapshots, i);
        g_autofree char *name = logical_tag_value(lv, "snap");

        if (g_strcmp0(name, plan->name) == 0 && strcmp(lv->name, planned->lv) != 0)
            return TRUE;
    }
    return FALSE;
}

static gboolean plan_verify(const CstSnapshotPlan *plan, const PlannedLv *planned, GError **error)
{
    const LvmVolume *lv = lvm_group_find(plan->after, planned->lv);

    if (!lv)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'lvcreate' claims success, but there is no snapshot"));
    if (g_strcmp0(lv->origin_uuid, planned->uuid) != 0)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("cannot make snapshot '%s' of volume '%s': the volume was replaced in "
                          "the meantime; try again"),
                        plan->name, planned->volume);
    if (lvm_is_lost(lv))
        return cst_fail(error, CST_ERROR_NO_SPACE,
                        _("snapshot '%s' of volume '%s' ran out of room and is lost; request more "
                          "(--size)"),
                        plan->name, planned->volume);
    return !plan_has_second(plan, planned) ||
           cst_fail_snapshot_exists(planned->volume, plan->name, error);
}

/* Runs: lvchange [-ay] [--deltag OLD] [--addtag NEW] VG/LV */
static gboolean planned_finish(LogicalState *state, const PlannedLv *planned,
                               const CstSnapshotCreate *how, GError **error)
{
    g_autofree char *record = cst_consistency_record(how->consistency, how->consistency_reason);
    g_autofree char *target = logical_target(state, planned->lv);
    g_autofree char *old =
        planned->record ? logical_tag(LOGICAL_RECORD_TAG, planned->record) : NULL;
    g_autofree char *new = record ? logical_tag(LOGICAL_RECORD_TAG, record) : NULL;
    gboolean same = g_strcmp0(old, new) == 0;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;

    if (same && !planned_is_thin(planned))
        return TRUE;
    g_strv_builder_add(builder, "lvchange");
    if (planned_is_thin(planned))
        g_strv_builder_add(builder, "-ay");
    if (old && !same)
        g_strv_builder_add_many(builder, "--deltag", old, NULL);
    if (new && !same)
        g_strv_builder_add_many(builder, "--addtag", new, NULL);
    g_strv_builder_add(builder, target);
    argv = g_strv_builder_end(builder);
    return logical_changev(state, (const char *const *)argv, NULL, error);
}

/* The name may lead to another snapshot now, so a wrong one is removed by its LV. */
gboolean logical_plan_commit(CstPoolState *state, CstSnapshotPlan *plan, guint index,
                             const CstSnapshotCreate *how, GError **error)
{
    const PlannedLv *planned = g_ptr_array_index(plan->lvs, index);

    if (!plan->after)
        plan->after = logical_group_read(LOGICAL(state), NULL, error);
    if (!plan->after)
        return FALSE;
    if (plan_verify(plan, planned, error))
        return planned_finish(LOGICAL(state), planned, how, error);
    logical_remove_lv(LOGICAL(state), planned->lv, NULL);
    return FALSE;
}
