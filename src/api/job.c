/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures about jobs, found by number among all jobs of the root, whichever process does them.
 * They read and write the jobs' files only, never a pool's storage, so a list can be had while
 * storage hangs: QUICK. Procedures about calls of the same connection are in server/procs_call.c.
 */
#include <service/jobs.h>

#include "api_private.h"

static void fill_job(wire_job *ret, CstJobInfo *job)
{
    *ret = (wire_job){
        .id = job->id,
        .state = job->state,
        .can_cancel = job->can_cancel,
        .kind = cst_api_text(g_steal_pointer(&job->kind)),
        .pool = cst_api_text(g_steal_pointer(&job->pool)),
        .volume = cst_api_opt(g_steal_pointer(&job->volume)),
        .uid = job->uid,
        .pid = job->pid,
        .started = job->started,
        .ended = job->ended,
        .done = job->done,
        .total = job->total,
        .rate = job->rate,
        .limit = job->limit,
        .error = cst_api_opt(g_steal_pointer(&job->error)),
        .error_word = cst_api_opt(g_steal_pointer(&job->error_word)),
    };
}

static gboolean list(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_job_list_args *args = data;
    wire_job_list_ret *ret = ret_data;
    g_autoptr(GPtrArray) jobs = NULL;

    if (!cst_flags_check(args->flags, WIRE_JOBS_ENDED, "cisternJobList", error))
        return FALSE;
    jobs = cst_service_jobs(call->service, (args->flags & WIRE_JOBS_ENDED) != 0);
    ret->jobs.jobs_val = g_new0(wire_job, jobs->len + 1);
    for (guint i = 0; i < jobs->len && i < WIRE_LIST_MAX; i++)
        fill_job(&ret->jobs.jobs_val[ret->jobs.jobs_len++], g_ptr_array_index(jobs, i));
    return TRUE;
}

static gboolean info(CstApiCall *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstJobInfo) job =
        cst_service_job(call->service, ((const wire_job_args *)args)->id, error);

    if (job)
        fill_job(ret, job);
    return job != NULL;
}

static gboolean cancel(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return cst_service_job_cancel(call->service, ((const wire_job_args *)args)->id, error);
}

static gboolean rate(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_job_rate_args *args = data;

    return cst_service_job_set_limit(call->service, args->id, args->limit, error);
}

const CstProcedure cst_api_job_procedures[] = {
    CST_OWN_PROCEDURE(JOB_LIST, QUICK, READ, "cisternJobList", job_list_args, job_list_ret, list),
    CST_OWN_PROCEDURE(JOB_INFO, QUICK, READ, "cisternJobInfo", job_args, job, info),
    CST_OWN_PROCEDURE(JOB_CANCEL, QUICK, WRITE, "cisternJobCancel", job_args, void, cancel),
    CST_OWN_PROCEDURE(JOB_RATE, QUICK, WRITE, "cisternJobRate", job_rate_args, void, rate),
    {0},
};
