/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <pool/pool.h>
#include <service/jobs.h>
#include <service/pools.h>

typedef struct CstJobFile CstJobFile;

/** All jobs that this process does, and the thread that publishes those that last. */
typedef struct Jobs Jobs;
typedef struct JobEntry JobEntry;

/** @daemon: what it does may be gone on with by the next one. */
Jobs *jobs_new(const CstPaths *paths, gboolean daemon);
void jobs_free(Jobs *jobs);
/** The process stops: cancels all of them, which end as interrupted, or are left to be resumed. */
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
 * @kind is static. @volume may be NULL, and be set later by job_set_volume(). A *task that is NULL
 * becomes one of the job's own, so that others can cancel it; @task NULL: it can't be cancelled.
 */
void job_begin(Job *job, CstPool *pool, const char *kind, const char *volume, CstTask **task);
void job_set_volume(Job *job, const char *volume);
/**
 * It does no harm to begin it again when the process ends in the middle. The text is what the next
 * daemon needs to know (resume.c); the pool's UUID goes with it, because its name may be
 * another pool's by then. Called before the work begins.
 */
void job_may_resume(Job *job, CstPool *pool, const char *format, ...) G_GNUC_PRINTF(3, 4);
/**
 * FALSE with STATE when this is a resumed job, and @volume, which is claimed and was scanned
 * since, isn't as the job left it: what was asked for then may not be meant for what is there now.
 */
gboolean job_left_alone(const Job *job, const CstVolume *volume, GError **error);
/** Passes @ok through; when it is FALSE, *error says why. */
gboolean job_end(Job *job, gboolean ok, GError **error);
/** Without an end before it: as a failure that nobody explained. */
void job_clear(Job *job);

/* --- jobs of a daemon that is gone (resume.c) ------------------------------------------------- */

/**
 * Makes it a job of this process; takes over both. @kind is static. The next job_begin() with the
 * task, which belongs to the job, is this one.
 */
CstTask *jobs_adopt(Jobs *jobs, const char *kind, CstJobFile *file, CstJobInfo *info);
/** The one that was adopted with @task; FALSE: there is none, or it was taken already. */
gboolean job_take(Job *job, Jobs *jobs, CstTask *task);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Job, job_clear)
