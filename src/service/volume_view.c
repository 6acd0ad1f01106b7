/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <service/images.h>

#include <base/error.h>
#include <base/i18n.h>
#include <image/compare.h>

#include "image_chain.h"

/* What guests see of volumes, without changing anything. */

/* --- compare ------------------------------------------------------------------------------------
 */

static gboolean compare_volumes(CstPool *pool, const char *name, CstPool *other_pool,
                                const char *other_name, CstTask *task, CstCompareReport *ret_report,
                                GError **error)
{
    g_auto(ImageChain) chain = {.task = task};
    g_auto(ImageChain) other = {.task = task};
    CstDifference difference;
    CstBlob *a, *b;

    if (!image_chain_open_pair(&chain, pool, name, &other, other_pool, other_name, error))
        return FALSE;
    a = image_chain_guest(&chain, NULL, error);
    b = a ? image_chain_guest(&other, NULL, error) : NULL;
    if (!b || !cst_image_compare(a, b, &difference, task, error))
        return FALSE;
    *ret_report = (CstCompareReport){
        .same = difference.same, .sizes_same = difference.sizes_same, .offset = difference.offset};
    return TRUE;
}

gboolean cst_vol_compare(CstPool *pool, const char *name, CstPool *other_pool,
                         const char *other_name, CstTask *task, CstCompareReport *ret_report,
                         GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "compare", name, &task);
    return job_end(
        &job, compare_volumes(pool, name, other_pool, other_name, task, ret_report, error), error);
}
