/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_job.h"

#include <base/dry_run.h>
#include <base/error.h>
#include <conn/client_jobs.h>

#define MIB (1024 * 1024)

FakeJobs fake_jobs;

CstJobInfo *cst_conn_job_info(CstConn *conn, uint64_t id, GError **error)
{
    CstJobInfo *job;

    if (id < 3 || id > 5) {
        cst_fail(error, CST_ERROR_NOT_FOUND, "no job with number %d", (int)id);
        return NULL;
    }
    job = g_new0(CstJobInfo, 1);
    job->id = id;
    job->state = id == 3 ? CST_JOB_RUNNING : id == 4 ? CST_JOB_FAILED : CST_JOB_DONE;
    job->kind = g_strdup("wipe");
    job->pool = g_strdup("images");
    job->volume = id == 5 ? NULL : g_strdup("disk");
    job->can_cancel = TRUE;
    job->done = 25 * MIB;
    job->total = id == 5 ? 0 : 100 * MIB;
    job->rate = MIB;
    job->pid = 42;
    if (id == 4) {
        job->error = g_strdup("the pool is full");
        job->error_word = g_strdup("no-space");
    }
    return job;
}

GPtrArray *cst_conn_job_list(CstConn *conn, gboolean ended, GError **error)
{
    GPtrArray *jobs = g_ptr_array_new_with_free_func((GDestroyNotify)cst_job_info_free);

    for (uint64_t id = 3; id <= (ended ? 5 : 3); id++)
        g_ptr_array_add(jobs, cst_conn_job_info(conn, id, NULL));
    return jobs;
}

gboolean cst_conn_job_cancel(CstConn *conn, uint64_t id, GError **error)
{
    g_autoptr(CstJobInfo) job = cst_conn_job_info(conn, id, error);

    if (!cst_may_change(error))
        return FALSE;
    if (!job)
        return FALSE;
    if (job->state != CST_JOB_RUNNING)
        return cst_fail(error, CST_ERROR_STATE, "it has ended");
    fake_jobs.cancelled = id;
    return TRUE;
}

gboolean cst_conn_job_set_limit(CstConn *conn, uint64_t id, uint64_t limit, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    fake_jobs.limited = id;
    fake_jobs.limit = limit;
    return TRUE;
}

CstJobInfo *cst_conn_job_wait(CstConn *conn, uint64_t id, gint64 until, CstTask *task,
                              GError **error)
{
    CstJobInfo *job = cst_conn_job_info(conn, id, error);

    fake_jobs.waited_until = until;
    if (job && job->state == CST_JOB_RUNNING) {
        g_clear_pointer(&job, cst_job_info_free);
        cst_fail(error, CST_ERROR_TIMEOUT, "it goes on");
    }
    return job;
}

gboolean cst_conn_set_detach(CstConn *conn, gboolean detach, GError **error)
{
    fake_jobs.detach = detach;
    return TRUE;
}

/*
 * --- jobs of this program: as with an older server without jobs
 * -----------------------------------
 */

gboolean cst_conn_set_job_group(CstConn *conn, uint64_t group, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SUPPORT, "cisternClientJobGroup: not supported");
}

gboolean cst_conn_client_job_begin(CstConn *conn, const CstConnJob *job, uint64_t *ret_handle,
                                   uint64_t *ret_id, GError **error)
{
    return cst_fail(error, CST_ERROR_NO_SUPPORT, "cisternClientJobBegin: not supported");
}

gboolean cst_conn_client_job_progress(CstConn *conn, uint64_t handle, CstProgress progress,
                                      gboolean *ret_cancel, uint64_t *ret_limit, GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, "no such job");
}

gboolean cst_conn_client_job_end(CstConn *conn, uint64_t handle, const GError *why, GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, "no such job");
}
