/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Wipes a volume: the passes of an algorithm overwrite all of its bytes (wipe_passes.c). Repeating
 * a wipe is harmless, so the next daemon resumes an interrupted wipe, unless the volume was written
 * since (job_left_alone()).
 *
 * The volume is claimed for writing. It is restricted before the first byte is written (declare.h),
 * so that its format stays the same, independently of its intermediate content.
 */
#include <service/volumes.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>

#include "core/claim.h"
#include "core/job.h"
#include "dependency/guard.h"
#include "volume/declare.h"
#include "wipe_passes.h"

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
        !volume_backing_not_kept(claim.state, volume, NULL, error) ||
        !cst_pool_state_vol_check_wipe(claim.state, name, error))
        return FALSE;
    blob = cst_pool_state_vol_open(claim.state, name, TRUE, error);
    if (!blob)
        return FALSE;
    if (!cst_may_change(error) || !trust_restrict(&claim, volume, blob, error))
        return FALSE;
    done = wipe_blob(blob, algorithm, task, error);
    volume_rescan(&claim);
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
