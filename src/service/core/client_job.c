/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Jobs for work that a client does. Each connection has its own table, so a handle is not valid on
 * another connection. The lock of the table is held only briefly, and never during file I/O. A job
 * that ends is first removed from the table, so that one thread owns it.
 *
 * A connection may end while a job is being begun. The job is not in the table yet and cannot be
 * interrupted. In this case client_job_add() finds the table closed and abandons the job.
 */
#include <service/client_jobs.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <base/dry_run.h>
#include <base/error_class.h>
#include <base/i18n.h>
#include <base/test_point.h>

#include "job.h"
#include "job_kind.h"
#include "service.h"

typedef struct {
    Job job;
    CstTask *task;
} ClientJob;

struct CstClientJobs {
    CstService *service;
    uid_t uid;
    pid_t pid;
    _Atomic uint64_t group;

    GMutex lock;     /* guards the members below */
    GHashTable *all; /* uint64_t handle to ClientJob */
    guint count;     /* of these, and of jobs that are being begun */
    gboolean closed;
};

static void client_job_free(gpointer data)
{
    ClientJob *mine = data;

    job_clear(&mine->job);
    cst_task_unref(mine->task);
    g_free(mine);
}

CstClientJobs *cst_client_jobs_new(CstService *service, uid_t uid, pid_t pid)
{
    CstClientJobs *jobs = g_new0(CstClientJobs, 1);

    jobs->service = service;
    jobs->uid = uid;
    jobs->pid = pid;
    g_mutex_init(&jobs->lock);
    jobs->all = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, client_job_free);
    return jobs;
}

void cst_client_jobs_close(CstClientJobs *jobs)
{
    GHashTableIter iter;
    gpointer mine;

    g_mutex_lock(&jobs->lock);
    jobs->closed = TRUE;
    g_hash_table_iter_init(&iter, jobs->all);
    while (g_hash_table_iter_next(&iter, NULL, &mine)) {
        job_abandon(&((ClientJob *)mine)->job);
        g_atomic_int_add(&jobs->service->client_jobs, -1);
    }
    g_hash_table_remove_all(jobs->all);
    g_mutex_unlock(&jobs->lock);
}

void cst_client_jobs_free(CstClientJobs *jobs)
{
    if (!jobs)
        return;
    g_hash_table_unref(jobs->all);
    g_mutex_clear(&jobs->lock);
    g_free(jobs);
}

void cst_client_jobs_set_group(CstClientJobs *jobs, uint64_t group)
{
    jobs->group = group;
}

uint64_t cst_client_jobs_group(CstClientJobs *jobs)
{
    return jobs ? jobs->group : 0;
}

/* --- begin ------------------------------------------------------------------------------------ */

/*
 * Returns whether the text is short, valid UTF-8 and free of control characters, which would affect
 * terminals.
 */
static gboolean client_text_is_valid(const char *text, size_t max)
{
    if (strlen(text) > max || !g_utf8_validate(text, -1, NULL))
        return FALSE;
    for (const char *p = text; *p; p = g_utf8_next_char(p))
        if (g_unichar_iscntrl(g_utf8_get_char(p)))
            return FALSE;
    return TRUE;
}

static gboolean client_job_check(const CstClientJob *what, CstClientJob *ret, GError **error)
{
    *ret = *what;
    ret->kind = job_kind_of_client(what->kind);
    if (!ret->kind)
        return cst_fail(error, CST_ERROR_INVALID, "%s",
                        _("clients do no work of that kind as a job of this daemon"));
    return (client_text_is_valid(what->pool, CST_CLIENT_JOB_NAME) &&
            (!what->volume || client_text_is_valid(what->volume, CST_CLIENT_JOB_NAME))) ||
           cst_fail(error, CST_ERROR_INVALID, "%s",
                    _("the description of a job is a line of at most 255 bytes of UTF-8"));
}

/* Counts a job that will be begun. Fails if a limit is reached. */
static gboolean client_job_reserve(CstClientJobs *jobs, GError **error)
{
    gboolean free_here, free_at_all;

    g_mutex_lock(&jobs->lock);
    free_here = !jobs->closed && jobs->count < CST_CLIENT_JOBS_OF_ONE;
    free_at_all = free_here && g_atomic_int_add(&jobs->service->client_jobs, 1) < CST_CLIENT_JOBS;
    if (free_here && !free_at_all)
        g_atomic_int_add(&jobs->service->client_jobs, -1);
    if (free_at_all)
        jobs->count++;
    g_mutex_unlock(&jobs->lock);
    return free_at_all ||
           cst_fail(error, CST_ERROR_STATE, _("there are too many jobs of clients, %u at most"),
                    free_here ? CST_CLIENT_JOBS : CST_CLIENT_JOBS_OF_ONE);
}

static void client_job_release(CstClientJobs *jobs)
{
    g_mutex_lock(&jobs->lock);
    jobs->count--;
    g_mutex_unlock(&jobs->lock);
    g_atomic_int_add(&jobs->service->client_jobs, -1);
}

static gboolean draw_handle(uint64_t *ret, GError **error)
{
    return getrandom(ret, sizeof(*ret), 0) == sizeof(*ret) ||
           cst_fail_errno(error, errno, "%s", _("cannot draw a random number"));
}

/*
 * Adds @mine to the table, and consumes it. Returns FALSE if the connection has ended; the job then
 * ends too.
 */
static gboolean client_job_add(CstClientJobs *jobs, uint64_t handle, ClientJob *mine,
                               GError **error)
{
    gboolean closed;

    g_mutex_lock(&jobs->lock);
    closed = jobs->closed;
    if (!closed)
        g_hash_table_insert(jobs->all, g_memdup2(&handle, sizeof(handle)), mine);
    g_mutex_unlock(&jobs->lock);
    if (!closed)
        return TRUE;
    job_abandon(&mine->job);
    client_job_free(mine);
    return cst_fail(error, CST_ERROR_STATE, "%s", _("the connection has ended"));
}

static gboolean client_job_begin(CstClientJobs *jobs, const CstClientJob *what,
                                 uint64_t *ret_handle, uint64_t *ret_id, GError **error)
{
    ClientJob *mine;

    if (!draw_handle(ret_handle, error) || !cst_may_change(error))
        return FALSE;
    mine = g_new0(ClientJob, 1);
    mine->task = cst_task_new();
    cst_task_set_owner(mine->task, jobs->uid, jobs->pid);
    cst_task_set_rate(mine->task, what->limit);
    *ret_id = job_begin_client(&mine->job, jobs->service, what, mine->task, error);
    if (*ret_id == 0) {
        client_job_free(mine);
        return FALSE;
    }
    CST_TEST_POINT("client_job.begin.listed");
    return client_job_add(jobs, *ret_handle, mine, error);
}

gboolean cst_client_job_begin(CstClientJobs *jobs, const CstClientJob *what, uint64_t *ret_handle,
                              uint64_t *ret_id, GError **error)
{
    CstClientJob checked;

    if (!client_job_check(what, &checked, error) || !client_job_reserve(jobs, error))
        return FALSE;
    if (client_job_begin(jobs, &checked, ret_handle, ret_id, error))
        return TRUE;
    client_job_release(jobs);
    return FALSE;
}

/* --- progress and end ------------------------------------------------------------------------- */

static gboolean fail_unknown(GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, "%s", _("this connection has no such job"));
}

gboolean cst_client_job_progress(CstClientJobs *jobs, uint64_t handle, uint64_t done,
                                 uint64_t total, gboolean *ret_cancel, uint64_t *ret_limit,
                                 GError **error)
{
    const ClientJob *mine;

    g_mutex_lock(&jobs->lock);
    mine = g_hash_table_lookup(jobs->all, &handle);
    if (mine) {
        uint64_t before = cst_task_progress(mine->task).done;

        cst_task_set_total(mine->task, total);
        /* Skip instead of advance, because the client itself limits its rate. */
        cst_task_skip(mine->task, done > before ? done - before : 0);
        *ret_cancel = job_cancel_requested(&mine->job);
        *ret_limit = cst_task_rate(mine->task);
    }
    g_mutex_unlock(&jobs->lock);
    return mine || fail_unknown(error);
}

static ClientJob *client_job_steal(CstClientJobs *jobs, uint64_t handle)
{
    gpointer key = NULL, mine = NULL;

    g_mutex_lock(&jobs->lock);
    g_hash_table_steal_extended(jobs->all, &handle, &key, &mine);
    g_mutex_unlock(&jobs->lock);
    g_free(key);
    return mine;
}

gboolean cst_client_job_end(CstClientJobs *jobs, uint64_t handle, const char *word,
                            const char *text, GError **error)
{
    g_autoptr(GError) why = NULL;
    CstErrorCode code = CST_ERROR_FAILED;
    ClientJob *mine;

    if (word &&
        (!cst_error_from_word(word, &code) || !client_text_is_valid(text, CST_CLIENT_JOB_ERROR)))
        return cst_fail(error, CST_ERROR_INVALID, "%s",
                        _("that is no error that a job can end with"));
    mine = client_job_steal(jobs, handle);
    if (!mine)
        return fail_unknown(error);
    if (word)
        why = g_error_new_literal(CST_ERROR, (int)code, text);
    job_end(&mine->job, !word, &why);
    client_job_free(mine);
    client_job_release(jobs);
    return TRUE;
}
