/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of the checked dispatch that calls through a CstSnapshotBackend. A dry run compares the
 * names with the existing snapshots, and calls no callback that changes the storage.
 */
#include <pool/pool.h>

#include <string.h>

#include <base/dry_run.h>
#include <base/i18n.h>

#include "dispatch.h"

/* Calls ops->SLOT(state, volume, …, error), checked and traced. */
#define SNAPSHOT_CALL(state, ops, slot, error, volume, ...)                   \
    ({                                                                        \
        CstCall call_ = pool_call_begin(state, "snapshots." #slot, volume);   \
        gboolean done_ = cst_call_enter(&call_, pool_liveness(state)) &&      \
                         (ops)->slot(state, volume, __VA_ARGS__, &call_.why); \
                                                                              \
        cst_call_end(&call_, done_, error);                                   \
    })

gboolean cst_pool_state_has_snapshots(CstPoolState *state)
{
    return state->backend->snapshots != NULL;
}

gboolean cst_pool_state_snapshots_of_drafts(CstPoolState *state, gboolean *ret_can, GError **error)
{
    const CstSnapshotBackend *ops = state->backend->snapshots;
    gboolean asked;
    CstCall call;

    *ret_can = ops && ops->of_drafts;
    if (!*ret_can || !ops->can_make)
        return TRUE;
    call = pool_call_begin(state, "snapshots.can_make", NULL);
    asked = cst_call_enter(&call, pool_liveness(state)) && ops->can_make(state, ret_can, &call.why);
    return cst_call_end(&call, asked, error);
}

/* NULL with NO_SUPPORT if the technology has no snapshots. */
static const CstSnapshotBackend *snapshots_of(CstPoolState *state, GError **error)
{
    if (!state->backend->snapshots)
        pool_unsupported(state, _("storage pool has no snapshots of its own"), error);
    return state->backend->snapshots;
}

GPtrArray *cst_pool_state_snapshots(CstPoolState *state, const char *volume, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)cst_snapshot_free);

    if (!ops || !SNAPSHOT_CALL(state, ops, list, error, volume, list))
        return NULL;
    /* Set here, so that all backends use the same names. */
    for (guint i = 0; i < list->len; i++)
        ((CstSnapshot *)list->pdata[i])->kept_by =
            g_strdup(cst_pool_type_name(state->backend->type));
    return g_steal_pointer(&list);
}

gboolean cst_pool_state_snapshot_volumes(CstPoolState *state, GHashTable **ret_names,
                                         GError **error)
{
    const CstSnapshotBackend *ops = state->backend->snapshots;
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    gboolean listed;
    CstCall call;

    *ret_names = NULL;
    if (!ops || !ops->volumes)
        return TRUE;
    call = pool_call_begin(state, "snapshots.volumes", NULL);
    listed = cst_call_enter(&call, pool_liveness(state)) && ops->volumes(state, names, &call.why);
    if (!cst_call_end(&call, listed, error))
        return FALSE;
    *ret_names = g_steal_pointer(&names);
    return TRUE;
}

/* Checks in a dry run that snapshot @name exists (@wanted TRUE) or does not exist. */
static gboolean snapshot_check_name(CstPoolState *state, const char *volume, const char *name,
                                    gboolean wanted, GError **error)
{
    g_autoptr(GPtrArray) list = cst_pool_state_snapshots(state, volume, error);

    if (!list || (cst_snapshot_find(list, name) != NULL) == wanted)
        return list != NULL;
    return wanted ? cst_fail_no_snapshot(volume, name, error)
                  : cst_fail_snapshot_exists(volume, name, error);
}

/*
 * Whether a change may begin. In a dry run it fails with DRY_RUN after the check of the names:
 * snapshot @name must exist, and @fresh must not. Either may be NULL.
 */
static gboolean snapshot_may_change(CstPoolState *state, const char *volume, const char *name,
                                    const char *fresh, GError **error)
{
    if (!cst_dry_run())
        return TRUE;
    return (!name || snapshot_check_name(state, volume, name, TRUE, error)) &&
           (!fresh || snapshot_check_name(state, volume, fresh, FALSE, error)) &&
           cst_may_change(error);
}

gboolean cst_pool_state_snapshot_create(CstPoolState *state, const char *volume, const char *name,
                                        const CstSnapshotCreate *how, CstTask *task, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);

    return ops && snapshot_may_change(state, volume, NULL, name, error) &&
           SNAPSHOT_CALL(state, ops, create, error, volume, name, how, task);
}

/* --- drafts ----------------------------------------------------------------------------------- */

/* Calls ops->SLOT(state, …, error) for a draft or a plan, checked and traced. */
#define SNAPSHOT_DRAFT_CALL(state, slot, error, ...)                                        \
    ({                                                                                      \
        CstCall call_ = pool_call_begin(state, "snapshots." #slot, NULL);                   \
        gboolean done_ = cst_call_enter(&call_, pool_liveness(state)) &&                    \
                         (state)->backend->snapshots->slot(state, __VA_ARGS__, &call_.why); \
                                                                                            \
        cst_call_end(&call_, done_, error);                                                 \
    })

gboolean cst_pool_state_can_draft_snapshot(CstPoolState *state)
{
    return state->backend->snapshots && state->backend->snapshots->draft_begin;
}

CstSnapshotDraft *cst_pool_state_snapshot_draft_begin(CstPoolState *state, const char *volume,
                                                      const char *name, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);
    CstSnapshotDraft *draft = NULL;
    gboolean begun;
    CstCall call;

    if (!ops)
        return NULL;
    if (!ops->draft_begin) {
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("storage pools of type '%s' do not create snapshots in two steps"),
                 cst_pool_type_name(state->backend->type));
        return NULL;
    }
    if (!snapshot_may_change(state, volume, NULL, name, error))
        return NULL;
    call = pool_call_begin(state, "snapshots.draft_begin", volume);
    begun = cst_call_enter(&call, pool_liveness(state)) &&
            ops->draft_begin(state, volume, name, &draft, &call.why);
    if (begun && !draft)
        cst_call_broken(&call, "returned no draft", error);
    else if (!cst_call_end(&call, begun, error))
        cst_pool_state_snapshot_draft_end(state, g_steal_pointer(&draft));
    return draft;
}

gboolean cst_pool_state_snapshot_draft_update(CstPoolState *state, CstSnapshotDraft *draft,
                                              GError **error)
{
    return SNAPSHOT_DRAFT_CALL(state, draft_update, error, draft);
}

gboolean cst_pool_state_snapshot_draft_commit(CstPoolState *state, CstSnapshotDraft *draft,
                                              const CstSnapshotCreate *how, GError **error)
{
    return SNAPSHOT_DRAFT_CALL(state, draft_commit, error, draft, how);
}

/* Also called while the storage does not answer, because the draft must be freed. */
void cst_pool_state_snapshot_draft_end(CstPoolState *state, CstSnapshotDraft *draft)
{
    CstCall call = pool_call_begin(state, "snapshots.draft_end", NULL);

    if (!draft)
        return;
    state->backend->snapshots->draft_end(state, draft);
    cst_call_trace(&call, TRUE);
}

/* --- several volumes -------------------------------------------------------------------------- */

/* Checks in a dry run that no volume has snapshot @name. Fails with DRY_RUN then. */
static gboolean snapshots_may_change(CstPoolState *state, const char *const *volumes,
                                     const char *name, GError **error)
{
    for (; cst_dry_run() && *volumes; volumes++)
        if (!snapshot_check_name(state, *volumes, name, FALSE, error))
            return FALSE;
    return cst_may_change(error);
}

gboolean cst_pool_state_can_snapshot_many(CstPoolState *state)
{
    return state->backend->snapshots && state->backend->snapshots->create_many;
}

gboolean cst_pool_state_snapshot_create_many(CstPoolState *state, const char *const *volumes,
                                             const char *name, const CstSnapshotCreate *how,
                                             CstTask *task, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);
    gboolean done;
    CstCall call;

    if (!ops || !snapshots_may_change(state, volumes, name, error))
        return FALSE;
    call = pool_call_begin(state, "snapshots.create_many", volumes[0]);
    done = cst_call_enter(&call, pool_liveness(state)) &&
           ops->create_many(state, volumes, name, how, task, &call.why);
    return cst_call_end(&call, done, error);
}

gboolean cst_pool_state_can_plan_snapshots(CstPoolState *state)
{
    return state->backend->snapshots && state->backend->snapshots->plan_begin;
}

CstSnapshotPlan *cst_pool_state_snapshot_plan_begin(CstPoolState *state, const char *const *volumes,
                                                    const char *name, const CstSnapshotCreate *how,
                                                    GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);
    CstSnapshotPlan *plan = NULL;
    gboolean begun;
    CstCall call;

    if (!ops)
        return NULL;
    if (!ops->plan_begin) {
        cst_fail(error, CST_ERROR_UNSUPPORTED,
                 _("storage pools of type '%s' do not prepare snapshots"),
                 cst_pool_type_name(state->backend->type));
        return NULL;
    }
    if (!snapshots_may_change(state, volumes, name, error))
        return NULL;
    call = pool_call_begin(state, "snapshots.plan_begin", volumes[0]);
    begun = cst_call_enter(&call, pool_liveness(state)) &&
            ops->plan_begin(state, volumes, name, how, &plan, &call.why);
    if (begun && !plan)
        cst_call_broken(&call, "returned no plan", error);
    else if (!cst_call_end(&call, begun, error))
        cst_pool_state_snapshot_plan_end(state, g_steal_pointer(&plan));
    return plan;
}

gboolean cst_pool_state_snapshot_plan_rehearse(CstPoolState *state, CstSnapshotPlan *plan,
                                               CstTask *task, uint64_t *ret_us, GError **error)
{
    *ret_us = 0;
    return SNAPSHOT_DRAFT_CALL(state, plan_rehearse, error, plan, task, ret_us);
}

gboolean cst_pool_state_snapshot_plan_make(CstPoolState *state, CstSnapshotPlan *plan,
                                           CstTask *task, GError **error)
{
    return SNAPSHOT_DRAFT_CALL(state, plan_make, error, plan, task);
}

gboolean cst_pool_state_snapshot_plan_commit(CstPoolState *state, CstSnapshotPlan *plan,
                                             guint index, const CstSnapshotCreate *how,
                                             GError **error)
{
    return SNAPSHOT_DRAFT_CALL(state, plan_commit, error, plan, index, how);
}

/* Also called while the storage does not answer, because the plan must be freed. */
void cst_pool_state_snapshot_plan_end(CstPoolState *state, CstSnapshotPlan *plan)
{
    CstCall call = pool_call_begin(state, "snapshots.plan_end", NULL);

    if (!plan)
        return;
    state->backend->snapshots->plan_end(state, plan);
    cst_call_trace(&call, TRUE);
}

/* --- the other changes ------------------------------------------------------------------------ */

GPtrArray *cst_pool_state_snapshot_revert_loses(CstPoolState *state, const char *volume,
                                                const char *name, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    if (!ops ||
        (ops->revert_loses && !SNAPSHOT_CALL(state, ops, revert_loses, error, volume, name, names)))
        return NULL;
    return g_steal_pointer(&names);
}

gboolean cst_pool_state_snapshot_revert(CstPoolState *state, const char *volume, const char *name,
                                        const GPtrArray *agreed, CstTask *task, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);

    return ops && snapshot_may_change(state, volume, name, NULL, error) &&
           SNAPSHOT_CALL(state, ops, revert, error, volume, name, agreed, task);
}

gboolean cst_pool_state_snapshot_remove(CstPoolState *state, const char *volume, const char *name,
                                        CstTask *task, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);

    return ops && snapshot_may_change(state, volume, name, NULL, error) &&
           SNAPSHOT_CALL(state, ops, remove, error, volume, name, task);
}

gboolean cst_pool_state_snapshot_rename(CstPoolState *state, const char *volume, const char *name,
                                        const char *new_name, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);

    return ops && snapshot_may_change(state, volume, name, new_name, error) &&
           SNAPSHOT_CALL(state, ops, rename, error, volume, name, new_name);
}

gboolean cst_pool_state_snapshot_changed(CstPoolState *state, const char *volume, const char *since,
                                         const char *until, CstTask *task, CstChanged *changed,
                                         GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);

    if (!ops)
        return FALSE;
    if (!ops->changed)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("storage pools of type '%s' do not report the changes since a snapshot"),
                        cst_pool_type_name(state->backend->type));
    return SNAPSHOT_CALL(state, ops, changed, error, volume, since, until, task, changed);
}

CstBlob *cst_pool_state_snapshot_open(CstPoolState *state, const char *volume, const char *name,
                                      GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);
    CstBlob *blob = NULL;
    CstCall call;

    if (!ops)
        return NULL;
    call = pool_call_begin(state, "snapshots.open", volume);
    if (cst_call_enter(&call, pool_liveness(state)))
        blob = ops->open(state, volume, name, &call.why);
    pool_blob_watched(state, blob);
    if (!cst_call_end(&call, blob != NULL, error))
        g_clear_pointer(&blob, cst_blob_unref);
    return blob;
}
