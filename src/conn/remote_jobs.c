/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/i18n.h>

#include "remote_private.h"

/** Takes over what the decoded answer holds. */
static CstJobInfo *job_take(wire_job *wire)
{
    CstJobInfo *job = g_new0(CstJobInfo, 1);

    *job = (CstJobInfo){
        .id = wire->id,
        .state = wire->state,
        .can_cancel = wire->can_cancel != 0,
        .kind = g_steal_pointer(&wire->kind),
        .pool = g_steal_pointer(&wire->pool),
        .volume = cst_remote_opt_take(wire->volume),
        .uid = wire->uid,
        .pid = wire->pid,
        .started = wire->started,
        .ended = wire->ended,
        .done = wire->done,
        .total = wire->total,
        .rate = wire->rate,
        .limit = wire->limit,
        .error = cst_remote_opt_take(wire->error),
        .error_word = cst_remote_opt_take(wire->error_word),
    };
    return job;
}

GPtrArray *cst_remote_job_list(gpointer self, gboolean ended, GError **error)
{
    wire_job_list_args args = {ended ? WIRE_JOBS_ENDED : 0};
    wire_job_list_ret ret = {0};
    GPtrArray *jobs;

    if (!cst_remote_own_call(self, WIRE_CISTERN_JOB_LIST, _("jobs"), xdr_wire_job_list_args, &args,
                             xdr_wire_job_list_ret, &ret, error))
        return NULL;
    jobs = g_ptr_array_new_with_free_func((GDestroyNotify)cst_job_info_free);
    for (guint i = 0; i < ret.jobs.jobs_len; i++)
        g_ptr_array_add(jobs, job_take(&ret.jobs.jobs_val[i]));
    xdr_free((xdrproc_t)xdr_wire_job_list_ret, (char *)&ret);
    return jobs;
}

CstJobInfo *cst_remote_job_info(gpointer self, uint64_t id, GError **error)
{
    wire_job_args args = {id};
    wire_job ret = {0};
    CstJobInfo *job;

    if (!cst_remote_own_call(self, WIRE_CISTERN_JOB_INFO, _("jobs"), xdr_wire_job_args, &args,
                             xdr_wire_job, &ret, error))
        return NULL;
    job = job_take(&ret);
    xdr_free((xdrproc_t)xdr_wire_job, (char *)&ret);
    return job;
}

gboolean cst_remote_job_cancel(gpointer self, uint64_t id, GError **error)
{
    wire_job_args args = {id};

    return cst_remote_own_call(self, WIRE_CISTERN_JOB_CANCEL, _("jobs"), xdr_wire_job_args, &args,
                               NULL, NULL, error);
}

gboolean cst_remote_job_set_limit(gpointer self, uint64_t id, uint64_t limit, GError **error)
{
    wire_job_rate_args args = {id, limit};

    return cst_remote_own_call(self, WIRE_CISTERN_JOB_RATE, _("jobs"), xdr_wire_job_rate_args,
                               &args, NULL, NULL, error);
}

gboolean cst_remote_set_dry_run(gpointer self, gboolean dry_run, GError **error)
{
    wire_call_mode_args args = {dry_run ? WIRE_CALLS_DRY : 0};

    return cst_remote_own_call(self, WIRE_CISTERN_CALL_MODE, "--dry-run", xdr_wire_call_mode_args,
                               &args, NULL, NULL, error);
}

gboolean cst_remote_set_detach(gpointer self, gboolean detach, GError **error)
{
    CstRemote *remote = self;

    if (detach && !cst_remote_needs(remote, WIRE_CISTERN_CALL_JOB, "--detach", error))
        return FALSE;
    remote->detach = detach;
    return TRUE;
}
