/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_service.h"

#include <base/error.h>

/* Two jobs: 1 has failed, 2 runs. */

GPtrArray *cst_service_jobs(CstService *self, gboolean ended)
{
    GPtrArray *jobs = g_ptr_array_new_with_free_func((GDestroyNotify)cst_job_info_free);

    for (uint64_t id = ended ? 1 : 2; id <= 2; id++)
        g_ptr_array_add(jobs, cst_service_job(self, id, NULL));
    while (jobs->len < fake_rows(0))
        g_ptr_array_add(jobs, cst_service_job(self, 2, NULL));
    return jobs;
}

CstJobInfo *cst_service_job(CstService *self, uint64_t id, GError **error)
{
    CstJobInfo *job;

    if (id < 1 || id > 2) {
        cst_fail(error, CST_ERROR_NOT_FOUND, "no job");
        return NULL;
    }
    job = g_new0(CstJobInfo, 1);
    job->id = id;
    job->state = id == 1 ? CST_JOB_FAILED : CST_JOB_RUNNING;
    job->kind = g_strdup("wipe");
    job->pool = g_strdup("images");
    job->volume = id == 1 ? NULL : g_strdup("a");
    job->error = id == 1 ? g_strdup("full") : NULL;
    job->error_word = id == 1 ? g_strdup("no-space") : NULL;
    job->done = 5;
    job->limit = 7;
    return job;
}

gboolean cst_service_job_cancel(CstService *self, uint64_t id, GError **error)
{
    return fake_changed(error);
}

gboolean cst_service_job_set_limit(CstService *self, uint64_t id, uint64_t limit, GError **error)
{
    return fake_changed(error);
}
