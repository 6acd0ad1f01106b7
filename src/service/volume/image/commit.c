/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes the data of a volume into one of its base images. The base changes, and the images between
 * become invalid. Therefore no image outside of this chain may depend on any of them.
 *
 * If a running domain has the volume as its disk, QEMU copies the data, and the domain goes on with
 * the base (volume/running/commit.c).
 *
 * The chain is opened twice: first to find the depth of the base, then with the claims for that
 * depth. In between no claim is held, so the second opening checks the chain again. The
 * guest-visible content is the same at every point in time, and the commit may be repeated
 * (job_may_resume()).
 */
#include <service/images.h>

#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <image/commit.h>

#include "core/copy_turn.h"
#include "core/job.h"
#include "core/promise.h"
#include "dependency/dependents.h"
#include "dependency/depth.h"
#include "dependency/remembered.h"
#include "image_chain.h"
#include "volume/running/commit.h"

/* Returns whether @name is the volume's name or path. */
static gboolean image_link_is_named(const ImageLink *link, const char *name)
{
    return strcmp(link->volume->name, name) == 0 || g_strcmp0(link->path, name) == 0;
}

/*
 * Finds the depth of @base (NULL: the direct backing file). Closes the chain again, because the
 * claims depend on the depth.
 */
static gboolean commit_find_base_depth(CstPool *pool, const char *name, const char *base,
                                       CstTask *task, guint *ret_depth, GError **error)
{
    g_auto(ImageChain) chain = {.task = task};

    if (!image_chain_open(&chain, pool, name, error))
        return FALSE;
    if (chain.links->len == 1)
        return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' has no backing volume"), name);
    for (guint i = 1; i < chain.links->len; i++)
        if (!base || image_link_is_named(image_chain_link(&chain, i), base)) {
            *ret_depth = i;
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("volume '%s' is not based on '%s'"), name, base);
}

/*
 * Fails with BUSY if an image outside of this chain is based on the base or on an image between.
 * Each of them may have one dependent, which is the next image of the chain.
 */
static gboolean commit_check_dependents(const ImageChain *chain, GError **error)
{
    for (guint i = 1; i <= chain->base; i++) {
        const ImageLink *link = image_chain_link(chain, i);
        guint children;

        if (!link->claim.pool)
            return cst_fail(error, CST_ERROR_UNSUPPORTED,
                            _("'%s' is no volume of an active pool, and its other overlays are "
                              "unknown; define and start a pool that contains it"),
                            link->path);
        if (!volume_count_dependents(&link->claim, &children, error))
            return FALSE;
        if (children > 1)
            return cst_fail(error, CST_ERROR_BUSY,
                            _("volumes outside this chain are based on volume '%s'; make them "
                              "independent (vol-flatten) first"),
                            link->claim.name);
        if (!volume_not_remembered(&link->claim, REMEMBERED_UNSEEN, error))
            return FALSE;
    }
    return TRUE;
}

/* A base that is smaller than the volume grows to its size. */
static gboolean commit_promise(const ImageChain *chain, PoolPromise *promise, GError **error)
{
    const ImageLink *base = image_chain_link(chain, chain->base);
    uint64_t size = MAX(image_chain_link(chain, 0)->volume->capacity, base->volume->capacity);
    const PromiseRequest request = {.name = base->claim.name,
                                    .more = cst_volume_promise_at(base->volume, size) -
                                            cst_volume_promise(base->volume)};

    return request.more == 0 ||
           pool_promise_reserve(promise, base->claim.pool, base->claim.state, &request, error);
}

static gboolean commit_volume(const Job *job, CstPool *pool, const char *name, const char *base,
                              unsigned flags, CstTask *task, GError **error)
{
    g_auto(PoolPromise) promise = {0};
    g_auto(ImageChain) chain = {.task = task, .write = TRUE, .at_rest = TRUE, .with_domain = TRUE};
    /*
     * An image is emptied only if it was committed into its direct backing file. Otherwise the data
     * of the images between would become visible.
     */
    gboolean keep = base || (flags & CST_VOL_COMMIT_KEEP);

    if (!cst_flags_check(flags, CST_VOL_COMMIT_KEEP, "storageVolCommit", error) ||
        !commit_find_base_depth(pool, name, base, task, &chain.base, error))
        return FALSE;
    CST_TEST_POINT("vol.commit.found");
    if (!image_chain_open(&chain, pool, name, error))
        return FALSE;
    if (chain.links->len <= chain.base ||
        (base && !image_link_is_named(image_chain_link(&chain, chain.base), base)))
        return cst_fail(error, CST_ERROR_STATE,
                        _("the backing chain of volume '%s' changed during the operation"), name);
    if (!commit_check_dependents(&chain, error) ||
        !image_chain_backing_not_kept(&chain, chain.base, error) ||
        !commit_promise(&chain, &promise, error))
        return FALSE;
    for (guint i = 0; i < chain.base; i++)
        if (!running_commit_is_settled(&image_chain_link(&chain, i)->claim, error))
            return FALSE;
    if (!job_left_alone(job, image_chain_link(&chain, 0)->volume, error) ||
        !job_left_alone(job, image_chain_link(&chain, chain.base)->volume, error))
        return FALSE;
    if (chain.disk)
        return running_commit(&chain, flags, error);
    CST_CRASH_POINT("vol.commit.opened");
    cst_chain_set_check(chain.chain, image_chain_check, &chain);
    if (!cst_chain_commit(chain.chain, chain.base, keep ? CST_COMMIT_KEEP : 0, task, error))
        return FALSE;
    CST_CRASH_POINT("vol.commit.committed");
    return TRUE;
}

gboolean cst_vol_commit(CstPool *pool, const char *name, const char *base, unsigned flags,
                        CstTask *task, GError **error)
{
    g_auto(Job) job = {0};
    g_auto(CopyTurn) turn = {0};
    const uint32_t depth = chain_depth_now(pool, name);
    gboolean done;

    job_begin(&job, pool, "commit", name, &task);
    if (!job_may_resume(&job, pool, "%u %s", flags, base ? base : ""))
        return job_end(&job, job_fail_resume(name, base, error), error);
    copy_turn_offer(&turn, pool, task);
    done = commit_volume(&job, pool, name, base, flags, task, error);
    if (done)
        chain_record_change(pool, name, depth);
    return job_end(&job, done, error);
}
