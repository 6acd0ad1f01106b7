/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queries about the jobs of a root, and requests to them. They read and write the jobs' files,
 * independently of the process that does the work.
 */
#include <base/error_class.h>
#include <base/i18n.h>
#include <store/job_files.h>

#include "job_kind.h"
#include "service.h"

/*
 * Sets an error text with the traces of an interrupted job, if the job was killed before it could
 * write an error.
 */
static void job_explain_interruption(CstJobInfo *job)
{
    if (job->state != CST_JOB_INTERRUPTED || job->error)
        return;
    job->error = g_strdup_printf(_("the process that did it is gone; %s"), job_left(job, TRUE));
    g_free(job->error_word);
    job->error_word = g_strdup(cst_error_info(CST_ERROR_FAILED)->word);
}

GPtrArray *cst_service_jobs(CstService *service, gboolean ended)
{
    GPtrArray *jobs = cst_job_files_load(service->paths);

    for (guint i = jobs->len; i-- > 0;) {
        CstJobInfo *job = g_ptr_array_index(jobs, i);

        if (!ended && cst_job_state_is_end(job->state))
            g_ptr_array_remove_index(jobs, i);
        else
            job_explain_interruption(job);
    }
    return jobs;
}

CstJobInfo *cst_service_job(CstService *service, uint64_t id, GError **error)
{
    CstJobInfo *job = cst_job_file_load(service->paths, id, error);

    if (job)
        job_explain_interruption(job);
    return job;
}

gboolean cst_service_job_cancel(CstService *service, uint64_t id, GError **error)
{
    return cst_job_file_cancel(service->paths, id, error);
}

gboolean cst_service_job_set_limit(CstService *service, uint64_t id, uint64_t limit, GError **error)
{
    return cst_job_file_set_limit(service->paths, id, limit, error);
}
