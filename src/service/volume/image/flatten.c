/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removes the dependency of a volume on its base. If the pool's technology shares the content, the
 * technology does it. Else the image engine copies the missing data into the image and removes the
 * reference.
 *
 * The content is the same at every point in time, and a repetition continues. Therefore the next
 * daemon resumes an interrupted flatten. A flatten by the technology takes several steps and has an
 * intent in the journal.
 */
#include <service/images.h>

#include <base/crash.h>
#include <image/rebase.h>

#include "core/claim.h"
#include "core/intent.h"
#include "core/job.h"
#include "dependency/guard.h"
#include "image_chain.h"

/*
 * Flattens a raw volume that is not a file by its pool's technology. *ret_handled is FALSE if the
 * volume is an image, which the engine has to flatten.
 */
static gboolean flatten_in_pool(CstPool *pool, const char *name, CstTask *task,
                                gboolean *ret_handled, GError **error)
{
    g_auto(VolumeClaim) claim = {.task = task};
    g_autoptr(CstVolume) volume = NULL;
    CstIntent *intent;
    gboolean done;

    *ret_handled = TRUE;
    if (!volume_claim_now(&claim, pool, name, CLAIM_WRITE, &volume, error))
        return FALSE;
    if (volume->type == CST_VOL_FILE || !cst_image_name_is_plain(volume->format)) {
        *ret_handled = FALSE;
        return TRUE;
    }
    if (cst_pool_state_flattens_at_rest(claim.state) && !volume_not_held(&claim, error))
        return FALSE;
    intent = volume_intent(&claim, "flatten", error);
    done = intent && cst_pool_state_vol_flatten(claim.state, name, task, error);
    cst_intent_end(intent);
    if (done)
        volume_rescan(&claim);
    return done;
}

static gboolean flatten_volume(CstPool *pool, const char *name, CstTask *task, GError **error)
{
    g_auto(ImageChain) chain = {.task = task, .write = TRUE, .at_rest = TRUE};
    gboolean handled;

    if (!flatten_in_pool(pool, name, task, &handled, error))
        return FALSE;
    if (handled)
        return TRUE;
    if (!image_chain_open(&chain, pool, name, error) ||
        !image_chain_backing_not_kept(&chain, 1, error))
        return FALSE;
    CST_CRASH_POINT("vol.flatten.opened");
    if (!cst_chain_flatten(chain.chain, task, error))
        return FALSE;
    CST_CRASH_POINT("vol.flatten.flat");
    return TRUE;
}

gboolean cst_vol_flatten(CstPool *pool, const char *name, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "flatten", name, &task);
    job_may_resume(&job, pool, "-");
    return job_end(&job, flatten_volume(pool, name, task, error), error);
}
