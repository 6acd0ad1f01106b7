/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deallocates zeroes in a volume's image. Only the volume itself is claimed, for writing. The
 * guest-visible content does not change, and a repetition is harmless. Therefore the next daemon
 * resumes it.
 */
#include <service/images.h>

#include <base/crash.h>
#include <image/sparsify.h>

#include "core/job.h"
#include "image_chain.h"

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
