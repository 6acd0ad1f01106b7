/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes the capacity of a volume. The image engine resizes images in files; the pool's technology
 * resizes raw bytes on other storage. A volume that a running domain has as a disk grows together
 * with the disk (running.c). Only shrinking can change the content for other users, so only
 * shrinking is guarded. A domain with a managed save expects the old capacity, so neither is
 * permitted then. The volume is claimed for writing, and the image is valid at every point in time.
 */
#include <inttypes.h>

#include <service/volumes.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>

#include "core/claim.h"
#include "core/domains.h"
#include "core/events.h"
#include "core/job.h"
#include "core/pool.h"
#include "core/promise.h"
#include "core/scan.h"
#include "core/service.h"
#include "dependency/guard.h"
#include "running/grow.h"
#include "running/qmp.h"
#include "volume/image/open.h"

/*
 * Computes the new capacity from @capacity and @flags. A negative delta larger than the capacity
 * results in 0.
 */
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

/*
 * libvirt refuses to shrink below the allocation even if shrinking is requested. This service does
 * so only with like_libvirt.
 */
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

static gboolean vol_resize_image(VolumeClaim *claim, const CstVolume *volume, uint64_t capacity,
                                 unsigned flags, CstTask *task, GError **error)
{
    g_autoptr(CstImage) image = NULL;

    /* Raw bytes that are not in a file: the pool's technology adds or removes the space. */
    if (volume->type != CST_VOL_FILE)
        return cst_pool_state_vol_resize(claim->state, volume->name, capacity, task, error);
    image = volume_open_image(claim, volume, CST_IMAGE_WRITE, error);
    if (!image)
        return FALSE;
    CST_CRASH_POINT("vol.resize.opened");
    if (!cst_image_resize(image, capacity,
                          flags & CST_VOL_RESIZE_ALLOCATE ? CST_PREALLOC_FALLOC : CST_PREALLOC_OFF,
                          task, error))
        return FALSE;
    if (!cst_image_flush(image, error)) {
        g_prefix_error(error,
                       _("volume '%s' has its new capacity, but a power cut may undo that (check "
                         "the disk, then run sync): "),
                       volume->name);
        return FALSE;
    }
    CST_CRASH_POINT("vol.resize.resized");
    return TRUE;
}

/*
 * Checks that the capacity is still that of @volume. A claim does not stop other programs, such as
 * virsh blockresize, and the questions to libvirt may have waited.
 */
static gboolean check_capacity_is_present(const VolumeClaim *claim, const CstVolume *volume,
                                          GError **error)
{
    g_autoptr(CstVolume) now = pool_volume_now(claim->pool, claim->state, claim->name, error);

    if (!now)
        return FALSE;
    return now->capacity == volume->capacity ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("another program changed the capacity of volume '%s' to %" PRIu64
                      " bytes; run the command again"),
                    claim->name, now->capacity);
}

/*
 * Claims the volume and computes its new capacity, after the checks that each resize needs. The
 * limits of the pool permit each shrink.
 */
static gboolean resize_claim(VolumeClaim *claim, CstPool *pool, const char *name, uint64_t capacity,
                             unsigned flags, PoolPromise *promise, CstVolume **ret_volume,
                             uint64_t *ret_target, GError **error)
{
    g_autoptr(CstVolume) volume = NULL;
    PromiseRequest request = {.name = name};

    if (!volume_claim_now(claim, pool, name, CLAIM_WRITE, &volume, error))
        return FALSE;
    if (volume->type != CST_VOL_FILE && !cst_pool_state_can_resize(claim->state))
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("storage pool does not support changing of volume capacity"));
    if (!resize_target(volume, capacity, flags, ret_target, error) ||
        !check_resize(claim, volume, *ret_target, flags, error))
        return FALSE;
    if (*ret_target > volume->capacity)
        request.more = cst_volume_promise_at(volume, *ret_target) - cst_volume_promise(volume);
    if (request.more > 0 && !pool_promise_reserve(promise, pool, claim->state, &request, error))
        return FALSE;
    *ret_volume = g_steal_pointer(&volume);
    return TRUE;
}

static gboolean resize_volume(CstPool *pool, const char *name, uint64_t capacity, unsigned flags,
                              CstTask *task, GError **error)
{
    g_auto(VolumeClaim) claim = {.task = task};
    g_auto(PoolPromise) promise = {0};
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(CstDomainDisk) disk = NULL;
    uint64_t target = 0;
    gboolean done;

    if (!cst_flags_check(flags,
                         CST_VOL_RESIZE_ALLOCATE | CST_VOL_RESIZE_DELTA | CST_VOL_RESIZE_SHRINK,
                         "storageVolResize", error) ||
        !resize_claim(&claim, pool, name, capacity, flags, &promise, &volume, &target, error))
        return FALSE;
    /* Growing adds zeroes after the old end. Overlays read zeroes in this range anyway. */
    if (!(target < volume->capacity
              ? volume_not_shown(&claim, error)
              : running_disk_find(&claim, volume, target, flags, &disk, error)) ||
        (disk && !check_capacity_is_present(&claim, volume, error)))
        return FALSE;
    done = disk ? running_disk_grow(&claim, volume, disk, target, error)
                : vol_resize_image(&claim, volume, target, flags, task, error);
    volume_rescan(&claim);
    if (done)
        event_record_volume(pool, CST_EVENT_VOLUME_RESIZED, name, NULL);
    if (!done && !disk && error && g_error_matches(*error, CST_ERROR, CST_ERROR_BUSY))
        running_qmp_explain(&claim, error);
    return done;
}

gboolean cst_vol_resize(CstPool *pool, const char *name, uint64_t capacity, unsigned flags,
                        CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "resize", name, &task);
    return job_end(&job, resize_volume(pool, name, capacity, flags, task, error), error);
}

static gboolean resize_volume_qmp(CstPool *pool, const char *name, uint64_t capacity,
                                  unsigned flags, const char *socket, CstTask *task, GError **error)
{
    g_auto(VolumeClaim) claim = {.task = task};
    g_auto(PoolPromise) promise = {0};
    g_autoptr(CstVolume) volume = NULL;
    uint64_t target = 0;
    gboolean done;

    if (!cst_flags_check(flags, CST_VOL_RESIZE_DELTA, "cisternVolResizeQmp", error) ||
        !running_qmp_check_caller(task, error) ||
        !resize_claim(&claim, pool, name, capacity, flags, &promise, &volume, &target, error))
        return FALSE;
    done = running_qmp_grow(&claim, volume, socket, target, error);
    volume_rescan(&claim);
    if (done)
        event_record_volume(pool, CST_EVENT_VOLUME_RESIZED, name, NULL);
    return done;
}

gboolean cst_vol_resize_qmp(CstPool *pool, const char *name, uint64_t capacity, unsigned flags,
                            const char *socket, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "resize", name, &task);
    return job_end(&job, resize_volume_qmp(pool, name, capacity, flags, socket, task, error),
                   error);
}
