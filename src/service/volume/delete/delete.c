/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deletes a volume that no process has open and that has no dependents (remove.c). Running
 * downloads of a file continue without its name. A pool with a trash keeps the volume for the
 * configured days (trash.c), unless immediate deletion was requested.
 *
 * The volume is claimed for writing; for a file the claim is compatible with readers. A crash
 * during the removal of snapshots leaves the volume with the oldest of them. The file itself is
 * removed in one step, and its declaration after it.
 */
#include "delete.h"

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <service/volumes.h>

#include "core/claim.h"
#include "core/events.h"
#include "core/job.h"
#include "core/overlays.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/table.h"
#include "dependency/depth.h"
#include "dependency/guard.h"
#include "remove.h"
#include "trash.h"
#include "volume/declare.h"
#include "volume/protect.h"
#include "volume/tags.h"

/*
 * Returns whether the volume is a file. A deleted file can still be read through an open
 * descriptor, unlike a device or an object. Called before the claim, because the claim depends on
 * the result.
 */
static gboolean vol_is_file(CstPool *pool, const char *name)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    g_autoptr(CstVolume) volume = state ? pool_volume(pool, state, name, NULL) : NULL;

    return volume && volume->type == CST_VOL_FILE;
}

/* A dry run removes no volume, and snapshots are removed by name. */
static gboolean refuses_by_itself(CstPoolState *state, unsigned flags)
{
    return cst_pool_state_delete_refuses(state) && !cst_dry_run() &&
           !(flags & CST_VOL_DELETE_WITH_SNAPSHOTS);
}

static gboolean delete_claim_volume(VolumeClaim *claim, CstPool *pool, const char *name,
                                    gboolean kept, unsigned flags, CstVolume **ret_volume,
                                    GError **error)
{
    if (!volume_claim(claim, pool, name, CLAIM_WRITE, error))
        return FALSE;
    *ret_volume = !kept && refuses_by_itself(claim->state, flags)
                      ? pool_volume(pool, claim->state, name, error)
                      : pool_volume_now(pool, claim->state, name, error);
    return *ret_volume != NULL;
}

/*
 * The technology does not know about images in other pools, so only these are checked. A refusal
 * may mean that the table is outdated.
 */
static gboolean remove_at_once(VolumeClaim *claim, const CstVolume *volume, unsigned flags,
                               CstTask *task, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!volume_not_needed_by_images(claim, error))
        return FALSE;
    if (cst_pool_state_delete(claim->state, claim->name, flags, &why))
        return TRUE;
    volume_rescan(claim);
    if (g_error_matches(why, CST_ERROR, CST_ERROR_BUSY) &&
        (!volume_not_needed(claim, error) ||
         !volume_drop_snapshots(claim, volume, &flags, task, error)))
        return FALSE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

void volume_is_gone(const VolumeClaim *claim, const CstVolume *volume)
{
    trust_forget(claim, volume);
    volume_tags_forget(claim->pool, claim->name, NULL);
    volume_orphan_readers(claim);
    overlays_note(claim->pool, claim->state, volume, NULL);
    pool_table_remove(claim->pool, claim->name);
    pool_usage_update(claim->pool, claim->state, NULL);
}

static gboolean vol_claim_and_delete(CstPool *pool, const char *name, unsigned flags, CstTask *task,
                                     GError **error)
{
    g_auto(VolumeClaim) claim = {.task = task, .past_readers = vol_is_file(pool, name)};
    guint days = flags & CST_VOL_DELETE_AT_ONCE ? 0 : trash_days(pool);
    g_autoptr(CstVolume) volume = NULL;

    flags &= ~(unsigned)CST_VOL_DELETE_AT_ONCE;
    if (!delete_claim_volume(&claim, pool, name, days > 0, flags, &volume, error) ||
        !volume_not_protected(pool, name, error) ||
        !cst_pool_state_check_delete(claim.state, error) || !volume_not_held(&claim, error))
        return FALSE;
    /* A directory is empty when it is deleted, so it needs no trash. */
    if (days > 0 && volume->type != CST_VOL_DIR)
        return trash_volume(&claim, volume, flags, days, error);
    if (refuses_by_itself(claim.state, flags)
            ? !remove_at_once(&claim, volume, flags, task, error)
            : !volume_remove(&claim, volume, flags, task, error)) {
        /* The volume may have changed in spite of the failure. */
        volume_rescan(&claim);
        return FALSE;
    }
    volume_is_gone(&claim, volume);
    event_record_volume(pool, CST_EVENT_VOLUME_DELETED, name, NULL);
    return TRUE;
}

gboolean cst_vol_delete(CstPool *pool, const char *name, unsigned flags, CstTask *task,
                        GError **error)
{
    g_auto(Job) job = {0};
    const uint32_t depth = chain_depth_warned(pool, name);
    gboolean done;

    job_begin(&job, pool, "delete", name, &task);
    done = vol_claim_and_delete(pool, name, flags, task, error);
    if (done)
        chain_record_gone(pool, name, depth);
    return job_end(&job, done, error);
}
