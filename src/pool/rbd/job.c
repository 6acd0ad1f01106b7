/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Jobs: each call to the cluster runs in a separate thread, which may hang for any time. The
 * waiting caller gives up after the connection's deadline and abandons the job. Therefore the job
 * owns or references all its data, and after a failure the caller must not read the job's results.
 *
 * A heartbeat (for example, by progress) restarts the deadline, so that long work with progress is
 * not abandoned.
 */
#include "rbd.h"

#include <errno.h>

#include <base/error.h>
#include <base/i18n.h>
#include <pool/backend.h>

static gboolean run_job(CstWork *work, GError **error)
{
    RbdJob *job = (RbdJob *)work;

    return job->run(job, error);
}

/* Runs when the last of caller and thread drops its reference. */
static void job_clear(CstWork *work)
{
    RbdJob *job = (RbdJob *)work;

    if (job->in)
        job->in_free(job->in);
    if (job->out && job->out_free)
        job->out_free(job->out);
    cst_rbd_conn_unref(job->conn);
    cst_pool_state_unref(&job->state->head);
    cst_task_unref(job->task);
    g_free(job->name);
    g_free(job->other);
    g_free(job->what);
}

RbdJob *cst_rbd_job_new(CstPoolState *state, RbdRun run, const char *name, GError **error)
{
    RbdConn *conn = cst_rbd_conn_get((RbdState *)state, error);
    RbdJob *job;

    if (!conn)
        return NULL;
    job = cst_work_new(sizeof(*job), run_job, job_clear);
    job->run = run;
    job->conn = conn;
    job->ceph = conn->ceph;
    job->state = (RbdState *)cst_pool_state_ref(state);
    job->name = g_strdup(name);
    job->what = name ? g_strdup_printf(_("volume '%s'"), name)
                     : g_strdup_printf(_("pool '%s'"), state->def->name);
    job->work.what = job->what;
    return job;
}

void cst_rbd_job_unref(RbdJob *job)
{
    if (job)
        cst_work_unref(&job->work);
}

gboolean cst_rbd_job_wait(RbdJob *job, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (cst_work_wait(&job->work, job->conn->deadline_ms, &why))
        return TRUE;
    /*
     * Ceph's own layers reconnect to a cluster that was unreachable. But a client that was
     * blocklisted, or has stuck calls, needs a new connection. Reads and writes of images do not
     * need the monitors, but a new connection does. So a job that queries the monitors does not
     * drop the connection.
     */
    if (!(job->flags & RBD_JOB_ASKS_MONITORS) &&
        g_error_matches(why, CST_ERROR, CST_ERROR_UNREACHABLE))
        cst_rbd_conn_give_up(job->state, job->conn);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean cst_rbd_job_list(CstPoolState *state, RbdRun run, const char *name,
                          GDestroyNotify free_one, GPtrArray *list, GError **error)
{
    g_autoptr(RbdJob) job = cst_rbd_job_new(state, run, name, error);
    GPtrArray *found;

    if (!job)
        return FALSE;
    job->out = found = g_ptr_array_new_with_free_func(free_one);
    job->out_free = (GDestroyNotify)g_ptr_array_unref;
    if (!cst_rbd_job_wait(job, error))
        return FALSE;
    while (found->len > 0)
        g_ptr_array_add(list, g_ptr_array_steal_index(found, 0));
    return TRUE;
}

/*
 * Called in librbd's threads. A negative result cancels librbd's work, if the job may be cancelled.
 */
int cst_rbd_job_progress(uint64_t done, uint64_t total, void *data)
{
    RbdJob *job = data;
    /* librbd counts in its own units, and the task in bytes. */
    uint64_t now = total ? (uint64_t)((double)done / (double)total * (double)job->size) : 0;

    cst_work_heartbeat(&job->work);
    if (now > job->reported) {
        cst_task_skip(job->task, now - job->reported);
        job->reported = now;
    }
    if (job->flags & RBD_JOB_UNSTOPPABLE)
        return 0;
    return cst_task_check(job->task, NULL) ? 0 : -ECANCELED;
}
