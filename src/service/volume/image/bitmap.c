/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of a dirty bitmap in a volume's image. The steps of a change run one after another. Each
 * step is atomic, so a failure or a cancellation keeps the completed steps.
 *
 * The volume is claimed for writing, without its backing chain. The source of a merge, if it is
 * another volume, is claimed for reading, without waiting.
 */
#include <service/images.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/bitmap.h>

#include "core/job.h"
#include "image_chain.h"

typedef struct {
    const CstBitmapChange *change;
    CstImage *image;
    CstImage *source; /* of merges */
    CstTask *task;
} Work;

/*
 * bitmap_check_steps() has validated all actions before the first step. They are parsed again
 * here.
 */
static gboolean bitmap_apply_steps(const Work *work, GError **error)
{
    const CstBitmapChange *change = work->change;

    for (guint i = 0; i < change->steps->len; i++) {
        const CstBitmapStep *step = &g_array_index(change->steps, CstBitmapStep, i);
        CstBitmapAction action;

        if (!cst_task_check(work->task, error) ||
            !cst_bitmap_action_parse(step->action, &action, error) ||
            !cst_image_bitmap_apply(work->image, action, change->name, change->granularity,
                                    work->source, step->from, error))
            return FALSE;
    }
    return cst_image_flush(work->image, error);
}

/*
 * Checks all steps before any file is opened, so that a misspelt step does not leave a partial
 * change.
 */
static gboolean bitmap_check_steps(const CstBitmapChange *change, GError **error)
{
    if (change->steps->len == 0 || change->steps->len > CST_BITMAP_STEPS_MAX)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("from 1 to %d things can be done with a bitmap at a time"),
                        CST_BITMAP_STEPS_MAX);
    for (guint i = 0; i < change->steps->len; i++) {
        CstBitmapAction action;

        if (!cst_bitmap_action_parse(g_array_index(change->steps, CstBitmapStep, i).action, &action,
                                     error))
            return FALSE;
    }
    return TRUE;
}

/*
 * An operation that holds a volume for writing must not wait for another volume, because an
 * operation on that volume may wait for it. Therefore this fails with BUSY (at_once).
 */
static gboolean bitmap_open_merge_source(ImageChain *chain, const ImageChain *target, CstPool *pool,
                                         const char *name, Work *work, GError **error)
{
    chain->after = image_chain_last_claim(target);
    chain->at_once = TRUE;
    if (!image_chain_open(chain, pool, name, error) ||
        !cst_chain_open_images(chain->chain, 0, NULL, error))
        return FALSE;
    work->source = cst_chain_image(chain->chain);
    return TRUE;
}

static gboolean change_bitmap(CstPool *pool, const char *name, const CstBitmapChange *change,
                              CstPool *source_pool, const char *source, CstTask *task,
                              GError **error)
{
    g_auto(ImageChain) chain = {.task = task, .write = TRUE, .alone = TRUE};
    g_auto(ImageChain) other = {.task = task, .alone = TRUE};
    Work work = {.change = change, .task = task};

    if (!bitmap_check_steps(change, error) || !image_chain_open(&chain, pool, name, error) ||
        !cst_chain_open_images(chain.chain, CST_IMAGE_WRITE, NULL, error))
        return FALSE;
    work.image = work.source = cst_chain_image(chain.chain);
    if (source && (source_pool != pool || strcmp(source, name) != 0) &&
        !bitmap_open_merge_source(&other, &chain, source_pool, source, &work, error))
        return FALSE;
    return bitmap_apply_steps(&work, error);
}

gboolean cst_vol_bitmap(CstPool *pool, const char *name, const CstBitmapChange *change,
                        CstPool *source_pool, const char *source, CstTask *task, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "bitmap", name, &task);
    return job_end(&job, change_bitmap(pool, name, change, source_pool, source, task, error),
                   error);
}
