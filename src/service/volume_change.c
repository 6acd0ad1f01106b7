/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>

#include "claim.h"
#include "declare.h"
#include "intent.h"
#include "job.h"
#include "pool.h"
#include "relations.h"
#include "scan.h"
#include "service_private.h"
#include "table.h"
#include "volume_open.h"
#include "wipe.h"

/* --- delete ----------------------------------------------------------------------------------- */

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

/* Snapshots that the pool keeps beside the volume go with it only when that was asked for. */
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
    g_autoptr(CstVolume) volume = state ? pool_table_get(pool, state, name, NULL) : NULL;

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

/* --- resize ----------------------------------------------------------------------------------- */

static gboolean resize_target(const CstVolume *volume, uint64_t capacity, unsigned flags,
                              uint64_t *ret_capacity, GError **error)
{
    uint64_t target = capacity;

    if (flags & CST_VOL_RESIZE_DELTA) {
        if (flags & CST_VOL_RESIZE_SHRINK)
            target = volume->capacity - MIN(capacity, volume->capacity);
        else if (capacity > (uint64_t)G_MAXINT64 - volume->capacity)
            return cst_fail(error, CST_ERROR_OVERFLOW,
                            _("the new capacity of volume '%s' would be too large"), volume->name);
        else
            target = volume->capacity + capacity;
    }
    if (target > G_MAXINT64)
        return cst_fail(error, CST_ERROR_OVERFLOW,
                        _("the new capacity of volume '%s' would be too large"), volume->name);
    *ret_capacity = target;
    return TRUE;
}

static gboolean check_resize(const VolumeClaim *claim, const CstVolume *volume, uint64_t capacity,
                             unsigned flags, GError **error)
{
    CstPoolUsage usage = CST_POOL_USAGE_UNKNOWN;

    gboolean below = (flags & CST_VOL_RESIZE_SHRINK) && !claim->pool->service->like_libvirt;

    if (capacity < volume->allocation && capacity < volume->capacity && !below)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("can't shrink capacity below existing allocation"));
    if (capacity < volume->capacity && !(flags & CST_VOL_RESIZE_SHRINK))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("Can't shrink capacity below current capacity unless shrink flag "
                          "explicitly specified"));
    if (!(flags & CST_VOL_RESIZE_ALLOCATE) || capacity <= volume->allocation)
        return TRUE;
    if (!cst_pool_state_usage(claim->state, &usage, error))
        return FALSE;
    if (capacity - volume->allocation > usage.available)
        return cst_fail(error, CST_ERROR_FAILED, _("Not enough space left in storage pool"));
    return TRUE;
}

static gboolean resize_image(VolumeClaim *claim, const CstVolume *volume, uint64_t capacity,
                             unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstImage) image = NULL;

    /* Raw bytes on something that is no file: the pool's technology adds or removes the space. */
    if (volume->type != CST_VOL_FILE)
        return cst_pool_state_vol_resize(claim->state, volume->name, capacity, task, error);
    image = volume_open_image(claim, volume, CST_IMAGE_WRITE, error);
    if (!image)
        return FALSE;
    CST_CRASH_POINT("vol.resize.opened");
    if (!cst_image_resize(image, capacity,
                          flags & CST_VOL_RESIZE_ALLOCATE ? CST_PREALLOC_FALLOC : CST_PREALLOC_OFF,
                          task, error) ||
        !cst_image_flush(image, error))
        return FALSE;
    CST_CRASH_POINT("vol.resize.resized");
    return TRUE;
}

static gboolean resize_volume(CstPool *pool, const char *name, uint64_t capacity, unsigned flags,
                              CstTask *task, GError **error)
{
    g_auto(VolumeClaim) claim = {.task = task};
    g_autoptr(CstVolume) volume = NULL;
    uint64_t target = 0;
    gboolean done;

    if (!cst_flags_check(flags,
                         CST_VOL_RESIZE_ALLOCATE | CST_VOL_RESIZE_DELTA | CST_VOL_RESIZE_SHRINK,
                         "storageVolResize", error) ||
        !volume_claim_now(&claim, pool, name, CLAIM_WRITE, &volume, error))
        return FALSE;
    if (volume->type != CST_VOL_FILE && !cst_pool_state_can_resize(claim.state))
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("storage pool does not support changing of volume capacity"));
    /* Growth adds zeroes behind the old end, which is what overlays read there anyway. */
    if (!resize_target(volume, capacity, flags, &target, error) ||
        !check_resize(&claim, volume, target, flags, error) ||
        (target < volume->capacity && !volume_not_shown(&claim, error)))
        return FALSE;
    done = resize_image(&claim, volume, target, flags, task, error);
    volume_look_again(&claim);
    return done;
}

gboolean cst_vol_resize(CstPool *pool, const char *name, uint64_t capacity, unsigned flags,
                        CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "resize", name, &task);
    return job_end(&job, resize_volume(pool, name, capacity, flags, task, error), error);
}

/* --- wipe ------------------------------------------------------------------------------------- */

static gboolean wipe_volume(const Job *job, CstPool *pool, const char *name, unsigned algorithm,
                            unsigned flags, CstTask *task, GError **error)
{
    g_auto(VolumeClaim) claim = {.task = task};
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(CstBlob) blob = NULL;
    gboolean done;

    if (!cst_flags_check(flags, 0, "storageVolWipePattern", error))
        return FALSE;
    if (algorithm >= CST_WIPE_LAST)
        return cst_fail(error, CST_ERROR_INVALID, _("wiping algorithm %d not supported"),
                        algorithm);
    if (!volume_claim_now(&claim, pool, name, CLAIM_WRITE, &volume, error))
        return FALSE;
    if (volume->type == CST_VOL_DIR)
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("storage pool doesn't support volume wiping"));
    if (!job_left_alone(job, volume, error) || !volume_not_shown(&claim, error) ||
        !cst_pool_state_vol_check_wipe(claim.state, name, error))
        return FALSE;
    blob = cst_pool_state_vol_open(claim.state, name, TRUE, error);
    if (!blob)
        return FALSE;
    if (!cst_may_change(error) || !trust_restrict(&claim, volume, blob, error))
        return FALSE;
    done = wipe_blob(blob, algorithm, task, error);
    volume_look_again(&claim);
    return done;
}

gboolean cst_vol_wipe(CstPool *pool, const char *name, unsigned algorithm, unsigned flags,
                      CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "wipe", name, &task);
    job_may_resume(&job, pool, "%u", algorithm);
    return job_end(&job, wipe_volume(&job, pool, name, algorithm, flags, task, error), error);
}
