/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <pool/pool.h>
#include <service/client_jobs.h>
#include <service/jobs.h>
#include <service/pools.h>

typedef struct CstJobFile CstJobFile;

/** The jobs of this process, and the thread that writes the files of those that take long. */
typedef struct Jobs Jobs;
typedef struct JobEntry JobEntry;

/** @paths is borrowed. @daemon: jobs may be resumed by the next daemon (job_may_resume()). */
Jobs *jobs_new(const CstPaths *paths, gboolean daemon);
/** Joins the publishing thread. All jobs have ended. NULL is accepted. */
void jobs_free(Jobs *jobs);
/**
 * Call it when the process is asked to stop: cancels all jobs, which end as interrupted or are left
 * to be resumed, and those that begin later. Does not wait for their end. From any thread.
 */
void jobs_stop(Jobs *jobs);

/**
 * One operation as a job, between its beginning and its end:
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
 * Begins a job. @kind is static and a row of job_kind.c where its end in the middle leaves
 * something. @volume may be NULL, and be set later by job_set_volume(). A *task that is NULL
 * becomes one of the job's own, valid until job_end(), so that others can cancel it; @task NULL: it
 * can't be cancelled.
 */
void job_begin(Job *job, CstPool *pool, const char *kind, const char *volume, CstTask **task);
/** The same for work on several pools, or none: @pools is what the job says of them. */
void job_begin_service(Job *job, CstService *service, const char *kind, const char *pools,
                       CstTask **task);
/**
 * Begins a job whose work a client does, and lists it at once. Returns its number; 0 with @error
 * when it can't be listed, but it has begun then, too. what->kind is static; the owner is @task's.
 */
uint64_t job_begin_client(Job *job, CstService *service, const CstClientJob *what, CstTask *task,
                          GError **error);
/**
 * Lists the job at once, for work that other programs notice before the usual delay is over. If
 * that fails, the publishing thread tries it again.
 */
void job_list_now(const Job *job);
/** Whether somebody has requested the job's end, other than by stopping this process. */
gboolean job_cancel_requested(const Job *job);
/**
 * Leaves the job of a client that is gone to the publishing thread, which ends it as interrupted.
 * Waits for nothing. @job has none afterwards.
 */
void job_abandon(Job *job);
/** Says which step of the work is being done: a @kind as that of job_begin(). */
void job_set_step(Job *job, const char *kind);
/** Names the volume once it is known, in the list of jobs and in the log. */
void job_set_volume(Job *job, const char *volume);
/**
 * Declares that repeating the work does no harm, so that the next daemon may resume it when this
 * one ends in the middle. The text is what that daemon needs to know (recovery/resume.c). The
 * pool's UUID is added, because its name may be another pool's by then. Call it before the work
 * begins; without effect in an embedded process.
 */
void job_may_resume(Job *job, CstPool *pool, const char *format, ...) G_GNUC_PRINTF(3, 4);
/**
 * Fails with STATE when this is a resumed job, and @volume, which is claimed and was scanned since,
 * is not as the job left it: the request may not be meant for what is there now. Succeeds for other
 * jobs.
 */
gboolean job_left_alone(const Job *job, const CstVolume *volume, GError **error);
/** Ends the job and returns @ok; when it is FALSE, *error says why. Call it once, in any thread. */
gboolean job_end(Job *job, gboolean ok, GError **error);
/** Ends a job that has not ended as an unexplained failure; does nothing after job_end(). */
void job_clear(Job *job);

/* --- jobs of a daemon that is gone (resume.c) ------------------------------------------------- */

/**
 * Makes an interrupted job one of this process; takes over @file and @info. @kind is static.
 * Returns its task, which belongs to the job: the next job_begin() with that task continues this
 * job.
 */
CstTask *jobs_adopt(Jobs *jobs, const char *kind, CstJobFile *file, CstJobInfo *info);
/**
 * Takes the job that was adopted with @task into @job; FALSE when there is none, or it was taken.
 */
gboolean job_take(Job *job, Jobs *jobs, CstTask *task);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Job, job_clear)
