/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pool/pool.h>

#include <base/error.h>
#include <base/i18n.h>

#include "dispatch.h"

/* The checked calls of CstSnapshotBackend. */

gboolean cst_pool_state_has_snapshots(CstPoolState *state)
{
    return state->backend->snapshots != NULL;
}

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

    if (!ops ||
        !pool_checked(ops->list(state, volume, list, error), state, "snapshots.list", error))
        return NULL;
    for (guint i = 0; i < list->len; i++)
        ((CstSnapshot *)list->pdata[i])->kept_by =
            g_strdup(cst_pool_type_name(state->backend->type));
    return g_steal_pointer(&list);
}

gboolean cst_pool_state_snapshot_create(CstPoolState *state, const char *volume, const char *name,
                                        const CstSnapshotCreate *how, CstTask *task, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);

    return ops && pool_checked(ops->create(state, volume, name, how, task, error), state,
                               "snapshots.create", error);
}

gboolean cst_pool_state_snapshot_revert(CstPoolState *state, const char *volume, const char *name,
                                        CstTask *task, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);

    return ops && pool_checked(ops->revert(state, volume, name, task, error), state,
                               "snapshots.revert", error);
}

gboolean cst_pool_state_snapshot_remove(CstPoolState *state, const char *volume, const char *name,
                                        CstTask *task, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);

    return ops && pool_checked(ops->remove(state, volume, name, task, error), state,
                               "snapshots.remove", error);
}

gboolean cst_pool_state_snapshot_rename(CstPoolState *state, const char *volume, const char *name,
                                        const char *new_name, GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);

    return ops && pool_checked(ops->rename(state, volume, name, new_name, error), state,
                               "snapshots.rename", error);
}

CstBlob *cst_pool_state_snapshot_open(CstPoolState *state, const char *volume, const char *name,
                                      GError **error)
{
    const CstSnapshotBackend *ops = snapshots_of(state, error);
    CstBlob *blob = ops ? ops->open(state, volume, name, error) : NULL;

    if (ops)
        pool_checked(blob != NULL, state, "snapshots.open", error);
    return blob;
}
