/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removes a volume: first the snapshots that the pool keeps of it, if the caller has requested
 * that; then the volume.
 */
#include "remove.h"

#include <base/error.h>
#include <base/i18n.h>

#include "core/intent.h"
#include "dependency/guard.h"

/*
 * Deletes the newest snapshot first, so that a failure leaves the volume with its oldest snapshots,
 * in their order.
 */
static gboolean vol_remove_snapshots(VolumeClaim *claim, const GPtrArray *snapshots, CstTask *task,
                                     GError **error)
{
    CstIntent *intent = volume_intent(claim, "delete", error);
    gboolean done = intent != NULL;

    for (guint i = snapshots->len; done && i-- > 0;) {
        const CstSnapshot *snapshot = g_ptr_array_index(snapshots, i);

        done =
            cst_pool_state_snapshot_remove(claim->state, claim->name, snapshot->name, task, error);
    }
    cst_intent_end(intent);
    return done;
}

static GPtrArray *agreed_snapshots(const VolumeClaim *claim, const CstVolume *volume,
                                   unsigned flags, GError **error)
{
    g_autoptr(GPtrArray) snapshots = cst_pool_state_snapshots(claim->state, volume->name, error);

    if (!snapshots || snapshots->len == 0 || (flags & CST_VOL_DELETE_WITH_SNAPSHOTS))
        return g_steal_pointer(&snapshots);
    cst_fail(error, CST_ERROR_BUSY,
             _("volume '%s' has %u snapshots, the oldest is '%s': delete them first, or "
               "with the volume (--delete-snapshots)"),
             volume->name, snapshots->len,
             ((const CstSnapshot *)g_ptr_array_index(snapshots, 0))->name);
    return NULL;
}

gboolean volume_snapshots_agreed(const VolumeClaim *claim, const CstVolume *volume, unsigned flags,
                                 GError **error)
{
    g_autoptr(GPtrArray) snapshots = NULL;

    if (!cst_pool_state_has_snapshots(claim->state))
        return TRUE;
    snapshots = agreed_snapshots(claim, volume, flags, error);
    return snapshots != NULL;
}

gboolean volume_drop_snapshots(VolumeClaim *claim, const CstVolume *volume, unsigned *flags,
                               CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) snapshots = NULL;

    if (!cst_pool_state_has_snapshots(claim->state))
        return TRUE;
    snapshots = agreed_snapshots(claim, volume, *flags, error);
    if (!snapshots)
        return FALSE;
    *flags &= ~(unsigned)CST_VOL_DELETE_WITH_SNAPSHOTS;
    return snapshots->len == 0 || vol_remove_snapshots(claim, snapshots, task, error);
}

gboolean volume_remove(VolumeClaim *claim, const CstVolume *volume, unsigned flags, CstTask *task,
                       GError **error)
{
    return volume_not_needed(claim, error) &&
           volume_drop_snapshots(claim, volume, &flags, task, error) &&
           cst_pool_state_delete(claim->state, claim->name, flags, error);
}
