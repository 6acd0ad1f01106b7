/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conn_private.h"

#include <base/error.h>
#include <base/i18n.h>

#define LOOK_US (200 * G_TIME_SPAN_MILLISECOND) /* between two questions while waiting */

GPtrArray *cst_conn_job_list(CstConn *conn, gboolean ended, GError **error)
{
    GPtrArray *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, job_list, CST_ACCESS_READ, "cisternJobList", ended))
        return NULL;
    return result;
}

CstJobInfo *cst_conn_job_info(CstConn *conn, uint64_t id, GError **error)
{
    CstJobInfo *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, job_info, CST_ACCESS_READ, "cisternJobInfo", id))
        return NULL;
    return result;
}

gboolean cst_conn_job_cancel(CstConn *conn, uint64_t id, GError **error)
{
    return CST_DISPATCH(conn, job_cancel, CST_ACCESS_WRITE, "cisternJobCancel", id);
}

gboolean cst_conn_job_set_limit(CstConn *conn, uint64_t id, uint64_t limit, GError **error)
{
    return CST_DISPATCH(conn, job_set_limit, CST_ACCESS_WRITE, "cisternJobRate", id, limit);
}

static void follow(CstTask *task, const CstJobInfo *job, uint64_t *seen)
{
    cst_task_set_total(task, job->total);
    cst_task_set_waiting(task, job->state == CST_JOB_WAITING);
    if (job->done > *seen)
        cst_task_skip(task, job->done - *seen);
    *seen = MAX(*seen, job->done);
}

/** TRUE when it is worth looking again, after a moment. */
static gboolean wait_a_moment(uint64_t id, gint64 until, CstTask *task, GError **error)
{
    gint64 left = until ? until - g_get_monotonic_time() : LOOK_US;

    if (left <= 0)
        return cst_fail(error, CST_ERROR_TIMEOUT, _("job %" G_GUINT64_FORMAT " goes on"), id);
    g_usleep((gulong)MIN(left, LOOK_US));
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
        follow(task, job, &seen);
        if (cst_job_state_is_end(job->state))
            return job;
        cst_job_info_free(job);
        if (!wait_a_moment(id, until, task, error))
            return NULL;
    }
}

gboolean cst_conn_set_detach(CstConn *conn, gboolean detach, GError **error)
{
    if (conn->ops->embedded)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("there is no daemon that would carry on; start cisternd, or leave out "
                          "--detach"));
    return CST_DISPATCH(conn, set_detach, CST_ACCESS_READ, "cisternCallJob", detach);
}
