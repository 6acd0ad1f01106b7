/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed calls for jobs. The protocol has no call that waits for a job, so waiting polls. */
#include <inttypes.h>

#include <base/i18n.h>

#include "conn_private.h"

/* Makes a job from a reply. Takes ownership of its strings. */
static CstJobInfo *job_from_wire(wire_job *wire)
{
    CstJobInfo *job = g_new0(CstJobInfo, 1);

    *job = (CstJobInfo){
        .id = wire->id,
        .state = wire->state,
        .can_cancel = wire->can_cancel != 0,
        .kind = g_steal_pointer(&wire->kind),
        .pool = g_steal_pointer(&wire->pool),
        .volume = cst_opt_take(wire->volume),
        .uid = wire->uid,
        .pid = wire->pid,
        .started = wire->started,
        .ended = wire->ended,
        .done = wire->done,
        .total = wire->total,
        .rate = wire->rate,
        .limit = wire->limit,
        .error = cst_opt_take(wire->error),
        .error_word = cst_opt_take(wire->error_word),
    };
    return job;
}

GPtrArray *cst_conn_job_list(CstConn *conn, gboolean ended, GError **error)
{
    wire_job_list_args args = {ended ? WIRE_JOBS_ENDED : 0};
    wire_job_list_ret ret = {0};
    GPtrArray *jobs;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_JOB_LIST, &args, &ret, NULL, error))
        return NULL;
    jobs = g_ptr_array_new_with_free_func((GDestroyNotify)cst_job_info_free);
    for (guint i = 0; i < ret.jobs.jobs_len; i++)
        g_ptr_array_add(jobs, job_from_wire(&ret.jobs.jobs_val[i]));
    xdr_free((xdrproc_t)xdr_wire_job_list_ret, (char *)&ret);
    return jobs;
}

CstJobInfo *cst_conn_job_info(CstConn *conn, uint64_t id, GError **error)
{
    wire_job_args args = {id};
    wire_job ret = {0};
    CstJobInfo *job;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_JOB_INFO, &args, &ret, NULL, error))
        return NULL;
    job = job_from_wire(&ret);
    xdr_free((xdrproc_t)xdr_wire_job, (char *)&ret);
    return job;
}

gboolean cst_conn_job_cancel(CstConn *conn, uint64_t id, GError **error)
{
    wire_job_args args = {id};

    return cst_conn_own_call(conn, WIRE_CISTERN_JOB_CANCEL, &args, NULL, NULL, error);
}

gboolean cst_conn_job_set_limit(CstConn *conn, uint64_t id, uint64_t limit, GError **error)
{
    wire_job_rate_args args = {id, limit};

    return cst_conn_own_call(conn, WIRE_CISTERN_JOB_RATE, &args, NULL, NULL, error);
}

/* --- waiting for a job ------------------------------------------------------------------------ */

#define POLL_INTERVAL_US (200 * G_TIME_SPAN_MILLISECOND) /* between two requests */

/* Copies the job's progress into @task. *seen: bytes by which the task was advanced so far. */
static void update_task(CstTask *task, const CstJobInfo *job, uint64_t *seen)
{
    cst_task_set_total(task, job->total);
    cst_task_set_waiting(task, job->state == CST_JOB_WAITING);
    if (job->done > *seen)
        /*
         * Skipped, not advanced: the server moves the bytes, and a rate here would delay only the
         * polling.
         */
        cst_task_skip(task, job->done - *seen);
    *seen = MAX(*seen, job->done);
}

/* Waits until the job should be polled again. Fails with TIMEOUT at @until, or with CANCELLED. */
static gboolean wait_before_poll(uint64_t id, gint64 until, CstTask *task, GError **error)
{
    gint64 left = until ? until - g_get_monotonic_time() : POLL_INTERVAL_US;

    if (left <= 0)
        return cst_fail(error, CST_ERROR_TIMEOUT, _("job %" PRIu64 " is still running"), id);
    g_usleep((gulong)MIN(left, POLL_INTERVAL_US));
    return cst_task_check(task, error);
}

CstJobInfo *cst_conn_job_wait(CstConn *conn, uint64_t id, gint64 until, CstTask *task,
                              GError **error)
{
    uint64_t seen = 0;

    for (;;) {
        CstJobInfo *job = cst_conn_job_info(conn, id, error);

        if (!job)
            return NULL;
        update_task(task, job, &seen);
        if (cst_job_state_is_end(job->state))
            return job;
        cst_job_info_free(job);
        if (!wait_before_poll(id, until, task, error))
            return NULL;
    }
}

gboolean cst_conn_set_detach(CstConn *conn, gboolean detach, GError **error)
{
    return conn->transport->set_detach(conn->self, detach, error);
}
