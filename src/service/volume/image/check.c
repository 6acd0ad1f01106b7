/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checks the image of one volume, and repairs it if @repair is set. Its backing chain is not
 * opened. Without a repair the volume is only claimed for reading. An image in use by a guest may
 * appear damaged.
 */
#include <service/images.h>

#include <base/flags.h>

#include "core/job.h"
#include "image_chain.h"
#include "open.h"

/* Consumes the list of findings. */
static void check_fill_report(const CstImageCheck *check, CstFindings *findings,
                              CstCheckReport *report)
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

static gboolean vol_check_image(CstPool *pool, const char *name, unsigned repair, CstTask *task,
                                CstCheckReport *ret_report, GError **error)
{
    g_auto(ImageChain) chain = {.task = task, .write = repair != 0, .alone = TRUE};
    /* Repairing everything includes leaks. */
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
    check_fill_report(&check, g_steal_pointer(&findings), ret_report);
    g_strlcpy(ret_report->format, link->volume->format, sizeof(ret_report->format));
    return TRUE;
}

gboolean cst_vol_check(CstPool *pool, const char *name, unsigned repair, CstTask *task,
                       CstCheckReport *ret_report, GError **error)
{
    g_auto(Job) job = {0};

    job_begin(&job, pool, "check", name, &task);
    return job_end(&job, vol_check_image(pool, name, repair, task, ret_report, error), error);
}
