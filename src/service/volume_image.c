/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <service/images.h>

#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <image/commit.h>
#include <image/rebase.h>
#include <image/sparsify.h>

#include "claim.h"
#include "image_chain.h"
#include "intent.h"
#include "job.h"
#include "volume_family.h"
#include "volume_open.h"

/* --- check ------------------------------------------------------------------------------------ */

/* Takes the list of findings over. */
static void fill_report(const CstImageCheck *check, CstFindings *findings, CstCheckReport *report)
{
    *report = (CstCheckReport){
        .errors = check->errors,
        .leaks = check->leaks,
        .errors_fixed = check->errors_fixed,
        .leaks_fixed = check->leaks_fixed,
        .total_clusters = check->total_clusters,
        .allocated_clusters = check->allocated_clusters,
        .fragmented_clusters = check->fragmented_clusters,
        .compressed_clusters = check->compressed_clusters,
        .image_end = check->image_end,
        .findings = findings,
    };
}

static gboolean check_volume(CstPool *pool, const char *name, unsigned repair, CstTask *task,
                             CstCheckReport *ret_report, GError **error)
{
    g_auto(ImageChain) chain = {.task = task, .write = repair != 0, .alone = TRUE};
    unsigned flags = (repair & CST_REPAIR_LEAKS ? CST_CHECK_REPAIR_LEAKS : 0) |
                     (repair & CST_REPAIR_ALL ? CST_CHECK_REPAIR_LEAKS | CST_CHECK_REPAIR_ALL : 0);
    g_autoptr(CstFindings) findings = cst_findings_new();
    const CstImageFormat *format;
    CstImageCheck check = {0};
    CstImageFiles files;
    ImageLink *link;

    if (!cst_flags_check(repair, CST_REPAIR_LEAKS | CST_REPAIR_ALL, "storageVolCheck", error) ||
        !image_chain_open(&chain, pool, name, error))
        return FALSE;
    link = image_chain_link(&chain, 0);
    files = volume_part_files(&link->claim, link->volume);
    format = cst_image_format_find(link->volume->format, error);
    if (!format ||
        !cst_image_check_list(link->blob, format, flags, &files, findings, &check, task, error))
        return FALSE;
    fill_report(&check, g_steal_pointer(&findings), ret_report);
    g_strlcpy(ret_report->format, link->volume->format, sizeof(ret_report->format));
    return TRUE;
}

gboolean cst_vol_check(CstPool *pool, const char *name, unsigned repair, CstTask *task,
                       CstCheckReport *ret_report, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "check", name, &task);
    return job_end(&job, check_volume(pool, name, repair, task, ret_report, error), error);
}

/* --- flatten ---------------------------------------------------------------------------------- */

/* Where the pool's technology shares the content, it is what makes it independent. */
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
    if (volume->type == CST_VOL_FILE || g_strcmp0(volume->format, "raw") != 0) {
        *ret_handled = FALSE;
        return TRUE;
    }
    intent = volume_intent(&claim, "flatten", error);
    done = intent && cst_pool_state_vol_flatten(claim.state, name, task, error);
    cst_intent_end(intent);
    if (done)
        volume_look_again(&claim);
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
    if (!image_chain_open(&chain, pool, name, error))
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

/* --- commit ----------------------------------------------------------------------------------- */

static gboolean is_named(const ImageLink *link, const char *name)
{
    return strcmp(link->volume->name, name) == 0 || g_strcmp0(link->path, name) == 0;
}

/* How far down @base is; the chain is let go again, to be claimed anew for what it takes. */
static gboolean find_base(CstPool *pool, const char *name, const char *base, CstTask *task,
                          guint *ret_depth, GError **error)
{
    g_auto(ImageChain) chain = {.task = task};

    if (!image_chain_open(&chain, pool, name, error))
        return FALSE;
    if (chain.links->len == 1)
        return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' is based on nothing"), name);
    for (guint i = 1; i < chain.links->len; i++)
        if (!base || is_named(image_chain_link(&chain, i), base)) {
            *ret_depth = i;
            return TRUE;
        }
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("volume '%s' is not based on '%s'"), name, base);
}

/* What changes, and what becomes worthless, must be what nobody but this chain is based on. */
static gboolean check_nobody_else(const ImageChain *chain, GError **error)
{
    for (guint i = 1; i <= chain->base; i++) {
        const ImageLink *link = image_chain_link(chain, i);
        guint children;

        if (!link->claim.pool)
            return cst_fail(error, CST_ERROR_UNSUPPORTED,
                            _("'%s' is no volume of an active pool, and what else is based on it "
                              "is not known; define and start a pool that holds it"),
                            link->path);
        if (!volume_count_children(&link->claim, &children, error))
            return FALSE;
        if (children > 1)
            return cst_fail(error, CST_ERROR_BUSY,
                            _("others than this chain are based on volume '%s'; make them "
                              "independent (vol-flatten) first"),
                            link->claim.name);
    }
    return TRUE;
}

static gboolean commit_volume(const Job *job, CstPool *pool, const char *name, const char *base,
                              unsigned flags, CstTask *task, GError **error)
{
    g_auto(ImageChain) chain = {.task = task, .write = TRUE, .at_rest = TRUE};
    /* Not emptied where it must go on hiding what is between. */
    gboolean keep = base || (flags & CST_VOL_COMMIT_KEEP);

    if (!cst_flags_check(flags, CST_VOL_COMMIT_KEEP, "storageVolCommit", error) ||
        !find_base(pool, name, base, task, &chain.base, error) ||
        !image_chain_open(&chain, pool, name, error))
        return FALSE;
    if (chain.links->len <= chain.base)
        return cst_fail(error, CST_ERROR_STATE,
                        _("what volume '%s' is based on has changed meanwhile"), name);
    if (!check_nobody_else(&chain, error) ||
        !job_left_alone(job, image_chain_link(&chain, 0)->volume, error) ||
        !job_left_alone(job, image_chain_link(&chain, chain.base)->volume, error))
        return FALSE;
    CST_CRASH_POINT("vol.commit.opened");
    if (!cst_chain_commit(chain.chain, chain.base, keep ? CST_COMMIT_KEEP : 0, task, error))
        return FALSE;
    CST_CRASH_POINT("vol.commit.committed");
    return TRUE;
}

gboolean cst_vol_commit(CstPool *pool, const char *name, const char *base, unsigned flags,
                        CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "commit", name, &task);
    job_may_resume(&job, pool, "%u %s", flags, base ? base : "");
    return job_end(&job, commit_volume(&job, pool, name, base, flags, task, error), error);
}

/* --- sparsify --------------------------------------------------------------------------------- */

static gboolean sparsify_volume(CstPool *pool, const char *name, CstTask *task,
                                uint64_t *ret_given_back, GError **error)
{
    g_auto(ImageChain) chain = {.task = task, .write = TRUE, .alone = TRUE};
    const CstImageFormat *format;
    const ImageLink *link;

    if (!image_chain_open(&chain, pool, name, error))
        return FALSE;
    link = image_chain_link(&chain, 0);
    format = cst_image_format_find(link->volume->format, error);
    if (!format || !cst_image_sparsify(link->blob, format, NULL, ret_given_back, task, error))
        return FALSE;
    CST_CRASH_POINT("vol.sparsify.sparse");
    return TRUE;
}

gboolean cst_vol_sparsify(CstPool *pool, const char *name, CstTask *task, uint64_t *ret_given_back,
                          GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "sparsify", name, &task);
    job_may_resume(&job, pool, "-");
    return job_end(&job, sparsify_volume(pool, name, task, ret_given_back, error), error);
}
