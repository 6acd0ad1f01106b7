/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removes the dependency of a volume on its base. If the pool's technology shares the content, the
 * technology does it. Else the image engine copies the missing data into the image and removes the
 * reference.
 *
 * QEMU copies the data of an image that a running domain has as its disk (a block pull of libvirt).
 *
 * The content is the same at every point in time, and a repetition continues. Therefore the next
 * daemon resumes an interrupted flatten. A flatten by the technology takes several steps and has an
 * intent in the journal.
 */
#include <service/images.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <image/rebase.h>

#include "core/claim.h"
#include "core/copy_turn.h"
#include "core/intent.h"
#include "core/job.h"
#include "dependency/depth.h"
#include "dependency/guard.h"
#include "image_chain.h"
#include "volume/running/job.h"

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

/* libvirt reports success by the definition of the domain, so the header is read, too. */
static gboolean flatten_check_header(const ImageLink *link, GError **error)
{
    const CstImageFormat *format = cst_image_format_find(link->volume->format, error);
    g_auto(CstImageInfo) info = {0};

    if (!format || !cst_image_inspect(link->blob, format, &info, error))
        return FALSE;
    return !info.backing ||
           cst_fail(error, CST_ERROR_FAILED,
                    _("libvirt claims to have copied the data of volume '%s', but the image still "
                      "refers to its backing file"),
                    link->claim.name);
}

/* The definition of a transient domain need not change: the image keeps its name. */
static gboolean flatten_in_domain(const ImageChain *chain, GError **error)
{
    CstHypervisorJobRequest request = {.kind = CST_HYPERVISOR_JOB_PULL, .transient = TRUE};
    const ImageLink *link = image_chain_link(chain, 0);
    CstHypervisorPivot pivot;
    CstHypervisorJob *job;

    if (chain->links->len == 1)
        return TRUE;
    if (!cst_may_change(error))
        return FALSE;
    job = running_job_start(&link->claim, chain->disk, &request, &pivot, error);
    if (!job)
        return FALSE;
    cst_hypervisor_job_end(job);
    return flatten_check_header(link, error);
}

static gboolean flatten_volume(CstPool *pool, const char *name, CstTask *task, GError **error)
{
    g_auto(ImageChain) chain = {.task = task, .write = TRUE, .at_rest = TRUE, .with_domain = TRUE};
    gboolean handled;

    if (!flatten_in_pool(pool, name, task, &handled, error))
        return FALSE;
    if (handled)
        return TRUE;
    if (!image_chain_open(&chain, pool, name, error) ||
        !image_chain_backing_not_kept(&chain, 1, error))
        return FALSE;
    CST_CRASH_POINT("vol.flatten.opened");
    cst_chain_set_check(chain.chain, image_chain_check, &chain);
    if (chain.disk ? !flatten_in_domain(&chain, error)
                   : !cst_chain_flatten(chain.chain, task, error))
        return FALSE;
    CST_CRASH_POINT("vol.flatten.flat");
    return TRUE;
}

gboolean cst_vol_flatten(CstPool *pool, const char *name, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};
    g_auto(CopyTurn) turn = {0};
    const uint32_t depth = chain_depth_now(pool, name);
    gboolean done;

    job_begin(&job, pool, "flatten", name, &task);
    job_may_resume(&job, pool, "-");
    copy_turn_offer(&turn, pool, task);
    done = flatten_volume(pool, name, task, error);
    if (done)
        chain_record_change(pool, name, depth);
    return job_end(&job, done, error);
}
