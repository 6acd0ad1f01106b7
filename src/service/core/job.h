/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <pool/pool.h>
#include <service/client_jobs.h>
#include <service/jobs.h>
#include <service/pools.h>

#include "event_log.h"

typedef struct CstJobFile CstJobFile;

/** The jobs of this process, and the thread that writes the files of long-running jobs. */
typedef struct Jobs Jobs;
typedef struct JobEntry JobEntry;

/**
 * @paths and @events are borrowed. @events records the ends of listed jobs. @daemon: the next
 * daemon may resume jobs (job_may_resume()).
 */
Jobs *jobs_new(const CstPaths *paths, EventLog *events, gboolean daemon);
/** Joins the publishing thread and frees @jobs. All jobs must have ended. NULL is accepted. */
void jobs_free(Jobs *jobs);
/**
 * Cancels all jobs, which end as interrupted or are left to be resumed, and every job that begins
 * later. Call it when the process is asked to stop. Does not wait for the end of the jobs. Callable
 * from any thread.
 */
void jobs_stop(Jobs *jobs);
/** Returns whether jobs_stop() has been called. */
gboolean jobs_are_stopping(Jobs *jobs);

/**
 * An operation as a job:
 *
 *     g_auto(Job) job = {0};
 *
 *     job_begin(&job, pool, "wipe", name, &task);
 *     return job_end(&job, wipe_volume(pool, name, …, task, error), error);
 */
typedef struct {
    JobEntry *entry;
} Job;

/**
 * Begins a job. @kind is static, and a row of job_kind.c if an interruption leaves traces. @volume:
 * may be NULL, and be set later by job_set_volume(). If *task is NULL, it is set to a task of the
 * job, valid until job_end(), so that the job can be cancelled. If @task is NULL, the job cannot be
 * cancelled.
 */
void job_begin(Job *job, CstPool *pool, const char *kind, const char *volume, CstTask **task);
/**
 * Like job_begin(), for work on several pools or no pool. @pools: the text that the job shows as
 * its pool.
 */
void job_begin_service(Job *job, CstService *service, const char *kind, const char *pools,
                       CstTask **task);
/**
 * Begins a job for work that a client does, and lists it at once. what->kind is static; the owner
 * is that of @task. Returns its number. Returns 0 with @error if the job cannot be listed; it has
 * begun nevertheless.
 */
uint64_t job_begin_client(Job *job, CstService *service, const CstClientJob *what, CstTask *task,
                          GError **error);
/**
 * Lists the job at once, for work that other programs notice before the usual delay is over. On
 * failure the publishing thread retries.
 */
void job_list_now(const Job *job);
/**
 * Returns whether a user has requested the job's cancellation. Stopping this process does not
 * count.
 */
gboolean job_cancel_requested(const Job *job);
/**
 * Leaves the job of a disconnected client to the publishing thread, which ends it as interrupted.
 * Clears @job. Does not block.
 */
void job_abandon(Job *job);
/** Sets the current step of the work. @kind: as for job_begin(). */
void job_set_step(Job *job, const char *kind);
/** Sets the volume once it is known, for the list of jobs and the log. */
void job_set_volume(Job *job, const char *volume);
/**
 * Declares that the work is safe to repeat, so that the next daemon may resume it if this one stops
 * during the work. The text contains the parameters for the resumption (recovery/resume.c). The
 * pool's UUID is added, because another pool may have its name by then. Call it before the work
 * begins. Does nothing in an embedded process. Returns FALSE, and keeps the former text, if the
 * text is too long. The caller then shortens the text, or fails with job_fail_resume(). A text of
 * constant length always fits.
 */
gboolean job_may_resume(Job *job, CstPool *pool, const char *format, ...) G_GNUC_PRINTF(3, 4);
/** Fails with LIMIT, because the path @base in the text of job_may_resume() is too long. */
gboolean job_fail_resume(const char *volume, const char *base, GError **error);
/**
 * Fails with STATE if this is a resumed job and @volume has changed since the interruption. The
 * request may not apply to its present content. @volume is claimed and freshly scanned. Succeeds
 * for other jobs.
 */
gboolean job_left_alone(const Job *job, const CstVolume *volume, GError **error);
/**
 * Ends the job and returns @ok. If it is FALSE, *error is the reason. Call it once, in any thread.
 */
gboolean job_end(Job *job, gboolean ok, GError **error);
/** Ends a job without a result as failed. Does nothing after job_end(). */
void job_clear(Job *job);

/* --- jobs of dead daemons (resume.c) ---------------------------------------------------------- */

/**
 * Makes an interrupted job a job of this process. Consumes @file and @info. @kind is static.
 * Returns its task, which belongs to the job. The next job_begin() with that task continues this
 * job.
 */
CstTask *jobs_adopt(Jobs *jobs, const char *kind, CstJobFile *file, CstJobInfo *info);
/**
 * Moves the job that was adopted with @task into @job. Returns FALSE if no adopted job has this
 * task.
 */
gboolean job_take(Job *job, Jobs *jobs, CstTask *task);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Job, job_clear)
