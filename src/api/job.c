/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for jobs. A job is found by number among all jobs of the root, in any process. The
 * procedures are QUICK: they access only the jobs' files and never a pool's storage, so that a list
 * is available while storage hangs. Procedures for calls of the same connection are in
 * server/procs_call.c.
 *
 * Jobs that the client performs belong to its session (service/client_jobs.h).
 */
#include <service/client_jobs.h>
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

static gboolean api_job_list(CstApiCall *call, const void *data, void *ret_data, GError **error)
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

static gboolean api_job_info(CstApiCall *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstJobInfo) job =
        cst_service_job(call->service, ((const wire_job_args *)args)->id, error);

    if (job)
        fill_job(ret, job);
    return job != NULL;
}

static gboolean api_job_cancel(CstApiCall *call, const void *args, void *ret, GError **error)
{
    return cst_service_job_cancel(call->service, ((const wire_job_args *)args)->id, error);
}

static gboolean api_job_set_limit(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_job_rate_args *args = data;

    return cst_service_job_set_limit(call->service, args->id, args->limit, error);
}

/* --- jobs of clients ------------------------------------------------------------------------- */

static gboolean client_begin(CstApiCall *call, const void *data, void *result, GError **error)
{
    const wire_client_job_begin_args *args = data;
    wire_client_job_begin_ret *ret = result;
    const CstClientJob what = {.kind = args->kind,
                               .pool = args->pool,
                               .volume = cst_api_opt_text(args->volume),
                               .limit = args->limit,
                               .group = args->group};
    uint64_t handle, id;

    if (!cst_client_job_begin(call->session->jobs, &what, &handle, &id, error))
        return FALSE;
    ret->handle = handle;
    ret->id = id;
    return TRUE;
}

static gboolean client_progress(CstApiCall *call, const void *data, void *result, GError **error)
{
    const wire_client_job_progress_args *args = data;
    wire_client_job_progress_ret *ret = result;
    gboolean stop;
    uint64_t limit;

    if (!cst_client_job_progress(call->session->jobs, args->handle, args->done, args->total, &stop,
                                 &limit, error))
        return FALSE;
    ret->cancel = stop;
    ret->limit = limit;
    return TRUE;
}

static gboolean client_end(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_client_job_end_args *args = data;
    const char *text = cst_api_opt_text(args->error);

    return cst_client_job_end(call->session->jobs, args->handle, cst_api_opt_text(args->error_word),
                              text ? text : "", error);
}

static gboolean client_group(CstApiCall *call, const void *data, void *ret, GError **error)
{
    cst_client_jobs_set_group(call->session->jobs,
                              ((const wire_client_job_group_args *)data)->group);
    return TRUE;
}

const CstProcedure cst_api_job_procedures[] = {
    CST_OWN_PROCEDURE(CLIENT_JOB_BEGIN, QUICK, WRITE, "cisternClientJobBegin",
                      client_job_begin_args, client_job_begin_ret, client_begin,
                      .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(CLIENT_JOB_PROGRESS, INLINE, WRITE, "cisternClientJobProgress",
                      client_job_progress_args, client_job_progress_ret, client_progress,
                      .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(CLIENT_JOB_END, QUICK, WRITE, "cisternClientJobEnd", client_job_end_args,
                      void, client_end, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(CLIENT_JOB_GROUP, INLINE, WRITE, "cisternClientJobGroup",
                      client_job_group_args, void, client_group, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(JOB_LIST, QUICK, READ, "cisternJobList", job_list_args, job_list_ret,
                      api_job_list),
    CST_OWN_PROCEDURE(JOB_INFO, QUICK, READ, "cisternJobInfo", job_args, job, api_job_info),
    CST_OWN_PROCEDURE(JOB_CANCEL, QUICK, WRITE, "cisternJobCancel", job_args, void, api_job_cancel),
    CST_OWN_PROCEDURE(JOB_RATE, QUICK, WRITE, "cisternJobRate", job_rate_args, void,
                      api_job_set_limit),
    {0},
};
