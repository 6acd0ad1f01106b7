/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resumes jobs that were interrupted because the previous daemon ended. The parameters are in the
 * job's file (info.resume). Only daemons write them, because a user who stops a command also
 * intends to stop its work. Each job is adopted with its number and rate limit. It waits until its
 * pool is active, and starts again. The table contains only kinds of jobs that are safe to repeat;
 * core/job_kind.c describes the traces of other kinds.
 *
 * All jobs are adopted while the service loads, so that they are listed as waiting from the
 * beginning. A job belongs to resumption->jobs until it is passed to a worker, which then frees it.
 */
#include "resume.h"

#include <stdio.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/log_context.h>
#include <base/test_point.h>
#include <service/images.h>
#include <service/volumes.h>
#include <store/job_files.h>

#include "core/job.h"
#include "core/service.h"
#include "volume/image/consolidate.h"

#define WORKERS_MAX     4
#define POOL_TIMEOUT_US (60 * G_TIME_SPAN_SECOND) /* limit of the wait for the job's pool */
#define POLL_US         (100 * G_TIME_SPAN_MILLISECOND)

typedef gboolean (*ResumeFunc)(CstPool *pool, const char *volume, const char *how, CstTask *task,
                               GError **error);

static gboolean invalid_record(GError **error)
{
    return cst_fail(error, CST_ERROR_FAILED, _("the interrupted operation is unknown"));
}

static gboolean resume_flatten(CstPool *pool, const char *volume, const char *how, CstTask *task,
                               GError **error)
{
    return cst_vol_flatten(pool, volume, task, error);
}

static gboolean resume_sparsify(CstPool *pool, const char *volume, const char *how, CstTask *task,
                                GError **error)
{
    uint64_t given_back;

    return cst_vol_sparsify(pool, volume, task, &given_back, error);
}

static gboolean resume_wipe(CstPool *pool, const char *volume, const char *how, CstTask *task,
                            GError **error)
{
    unsigned algorithm;

    if (sscanf(how, "%u", &algorithm) != 1)
        return invalid_record(error);
    return cst_vol_wipe(pool, volume, algorithm, 0, task, error);
}

/* "FLAGS BASE", as written by cst_vol_commit(). The base may be empty. */
static gboolean resume_commit(CstPool *pool, const char *volume, const char *how, CstTask *task,
                              GError **error)
{
    const char *base = strchr(how, ' ');
    unsigned flags;

    if (!base || sscanf(how, "%u", &flags) != 1)
        return invalid_record(error);
    return cst_vol_commit(pool, volume, base[1] ? base + 1 : NULL, flags, task, error);
}

typedef struct {
    const char *kind;
    ResumeFunc resume;
} Resumable;

static const Resumable resumables[] = {
    {"wipe", resume_wipe},         {"flatten", resume_flatten},
    {"commit", resume_commit},     {"consolidate", volume_consolidate_resume},
    {"sparsify", resume_sparsify},
};

/* Returns NULL if a job of this kind cannot be resumed. */
static const Resumable *resumable_find(const char *kind)
{
    for (size_t i = 0; i < G_N_ELEMENTS(resumables); i++)
        if (strcmp(resumables[i].kind, kind) == 0)
            return &resumables[i];
    return NULL;
}

/* --- resuming --------------------------------------------------------------------------------- */

typedef struct {
    const Resumable *kind;
    CstUuid uuid; /* of the pool */
    char *pool, *volume, *how;
    CstTask *task;
} InterruptedJob;

struct Resumption {
    CstService *service;
    GPtrArray *jobs;      /* of InterruptedJob * */
    GThreadPool *workers; /* NULL: not started yet */
};

static void interrupted_job_free(InterruptedJob *job)
{
    g_free(job->pool);
    g_free(job->volume);
    g_free(job->how);
    cst_task_unref(job->task);
    g_free(job);
}

/*
 * Ends an adopted job as failed if no use case has begun it. Does nothing if a use case has begun
 * and ended it.
 */
static void fail_job(CstService *service, const InterruptedJob *job, GError **error)
{
    g_auto(Job) taken = {0};

    if (job_take(&taken, service->jobs, job->task))
        job_end(&taken, FALSE, error);
}

/* Parses the text of job_may_resume(): the pool's UUID, a space and the parameters of the job. */
static gboolean parse_resume(const char *resume, CstUuid *ret_uuid, const char **ret_how)
{
    const char *space = strchr(resume, ' ');
    g_autofree char *uuid = space ? g_strndup(resume, space - resume) : NULL;

    if (!uuid || !cst_uuid_parse(uuid, ret_uuid))
        return FALSE;
    *ret_how = space + 1;
    return TRUE;
}

/*
 * Implements CstJobResumeFunc: adopts the job. Marks it as interrupted if it cannot be resumed, for
 * example because its file was written by another version.
 */
static void resume_adopt_job(CstJobFile *file, CstJobInfo *info, gpointer data)
{
    Resumption *resumption = data;
    const Resumable *kind = resumable_find(info->kind);
    const char *how;
    CstUuid uuid;
    InterruptedJob *job;

    if (!kind || !info->volume || !parse_resume(info->resume, &uuid, &how)) {
        info->state = CST_JOB_INTERRUPTED;
        cst_job_file_end(file, info);
        cst_job_info_free(info);
        return;
    }
    job = g_new0(InterruptedJob, 1);
    job->kind = kind;
    job->uuid = uuid;
    job->pool = g_strdup(info->pool);
    job->volume = g_strdup(info->volume);
    job->how = g_strdup(how);
    job->task = cst_task_ref(jobs_adopt(resumption->service->jobs, kind->kind, file, info));
    g_ptr_array_add(resumption->jobs, job);
}

/*
 * Waits until the job's pool is active, for at most a minute, because autostart pools and remote
 * pools need some time. Polls, because the pool need not exist yet.
 */
static CstPool *active_pool(CstService *service, const InterruptedJob *job, GError **error)
{
    gint64 end = g_get_monotonic_time() + POOL_TIMEOUT_US;

    for (;;) {
        g_autoptr(CstPool) pool = cst_service_pool_by_uuid(service, &job->uuid, error);

        if (!pool)
            return NULL;
        if (cst_pool_is_active(pool))
            return g_steal_pointer(&pool);
        if (g_get_monotonic_time() > end) {
            cst_fail(error, CST_ERROR_STATE, _("storage pool '%s' is not active"), job->pool);
            return NULL;
        }
        if (!cst_task_check(job->task, error))
            return NULL;
        CST_TEST_POINT("resume.pool.wait");
        g_usleep(POLL_US);
    }
}

static void resume_job(gpointer data, gpointer resumption)
{
    CstService *service = ((Resumption *)resumption)->service;
    InterruptedJob *job = data;
    CstLogContext log = {.task = job->task};
    g_autoptr(GError) error = NULL;
    g_autoptr(CstPool) pool = NULL;

    cst_log_push(&log);
    cst_log_set_pool(job->pool);
    cst_log_set_volume(job->volume);
    pool = active_pool(service, job, &error);
    if (pool)
        job->kind->resume(pool, job->volume, job->how, job->task, &error);
    if (error)
        cst_log(CST_LOG_WARNING, "pool '%s': going on with %s of '%s': %s", job->pool,
                job->kind->kind, job->volume, error->message);
    /* Does nothing if the use case has begun the job. */
    fail_job(service, job, &error);
    cst_log_pop(&log);
    interrupted_job_free(job);
}

Resumption *resumption_new(CstService *service)
{
    Resumption *resumption = g_new0(Resumption, 1);
    gboolean daemon = service->mode == CST_SERVICE_DAEMON;

    resumption->service = service;
    resumption->jobs = g_ptr_array_new();
    /* An embedded process leaves resumable jobs to the next daemon. */
    cst_job_files_recover(service->paths, daemon ? resume_adopt_job : NULL, resumption);
    return resumption;
}

void resumption_start(Resumption *resumption)
{
    if (resumption->jobs->len == 0)
        return;
    resumption->workers = g_thread_pool_new(resume_job, resumption, WORKERS_MAX, FALSE, NULL);
    for (guint i = 0; i < resumption->jobs->len; i++) {
        InterruptedJob *job = g_ptr_array_index(resumption->jobs, i);

        cst_log(CST_LOG_INFO, _("pool '%s': going on with %s of '%s'"), job->pool, job->kind->kind,
                job->volume);
        g_thread_pool_push(resumption->workers, job, NULL);
    }
    g_ptr_array_set_size(resumption->jobs, 0);
}

void resumption_free(Resumption *resumption)
{
    if (!resumption)
        return;
    if (resumption->workers)
        g_thread_pool_free(resumption->workers, FALSE, TRUE);
    for (guint i = 0; i < resumption->jobs->len; i++) {
        InterruptedJob *job = g_ptr_array_index(resumption->jobs, i);
        g_autoptr(GError) error = NULL;

        cst_fail(&error, CST_ERROR_CANCELLED, _("it was not begun"));
        fail_job(resumption->service, job, &error);
        interrupted_job_free(job);
    }
    g_ptr_array_unref(resumption->jobs);
    g_free(resumption);
}
