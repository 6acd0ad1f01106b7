/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deletion of a volume: of one that nobody has open and nothing depends on. Snapshots that the pool
 * keeps of it go first, and only when that was asked for. Whoever only downloads a file reads on
 * without its name.
 */
#include <service/volumes.h>

#include <base/error.h>
#include <base/i18n.h>

#include "core/claim.h"
#include "core/intent.h"
#include "core/job.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/table.h"
#include "declare.h"
#include "dependency/guard.h"

/* The newest first: what is left by a failure is still a row of snapshots. */
static gboolean remove_snapshots(VolumeClaim *claim, const GPtrArray *snapshots, CstTask *task,
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

/* Snapshots that the pool keeps of the volume are deleted with it only when that was asked for. */
static gboolean drop_snapshots(VolumeClaim *claim, const CstVolume *volume, unsigned *flags,
                               CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) snapshots = NULL;

    if (!cst_pool_state_has_snapshots(claim->state))
        return TRUE;
    snapshots = cst_pool_state_snapshots(claim->state, volume->name, error);
    if (!snapshots)
        return FALSE;
    if (snapshots->len > 0 && !(*flags & CST_VOL_DELETE_WITH_SNAPSHOTS))
        return cst_fail(error, CST_ERROR_BUSY,
                        _("volume '%s' has %u snapshots, the oldest is '%s': delete them first, or "
                          "with the volume (--delete-snapshots)"),
                        volume->name, snapshots->len,
                        ((const CstSnapshot *)g_ptr_array_index(snapshots, 0))->name);
    *flags &= ~(unsigned)CST_VOL_DELETE_WITH_SNAPSHOTS;
    return snapshots->len == 0 || remove_snapshots(claim, snapshots, task, error);
}

/* Whoever reads a file goes on reading it when its name is gone. */
static gboolean is_file(CstPool *pool, const char *name)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    g_autoptr(CstVolume) volume = state ? pool_volume(pool, state, name, NULL) : NULL;

    return volume && volume->type == CST_VOL_FILE;
}

static gboolean delete_volume(CstPool *pool, const char *name, unsigned flags, CstTask *task,
                              GError **error)
{
    g_auto(VolumeClaim) claim = {.task = task, .past_readers = is_file(pool, name)};
    g_autoptr(CstVolume) volume = NULL;

    if (!volume_claim_now(&claim, pool, name, CLAIM_WRITE, &volume, error) ||
        !volume_not_held(&claim, error) || !volume_not_needed(&claim, error) ||
        !drop_snapshots(&claim, volume, &flags, task, error) ||
        !cst_pool_state_delete(claim.state, name, flags, error))
        return FALSE;
    trust_forget(&claim);
    volume_orphan_readers(&claim);
    pool_table_remove(pool, name);
    pool_usage_update(pool, claim.state, NULL);
    return TRUE;
}

gboolean cst_vol_delete(CstPool *pool, const char *name, unsigned flags, CstTask *task,
                        GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "delete", name, &task);
    return job_end(&job, delete_volume(pool, name, flags, task, error), error);
}
