/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <service/jobs.h>

#include "pool_object.h"

/** All jobs that this process does, and the thread that publishes those that last. */
typedef struct Jobs Jobs;
typedef struct JobEntry JobEntry;

Jobs *jobs_new(const CstPaths *paths);
void jobs_free(Jobs *jobs);

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
 * @kind is static. @volume may be NULL, and be told later by job_set_volume(). A *task that is NULL
 * becomes one of the job's own, so that others can cancel it; @task NULL: it can't be cancelled.
 */
void job_begin(Job *job, CstPool *pool, const char *kind, const char *volume, CstTask **task);
void job_set_volume(Job *job, const char *volume);
/** Passes @ok through; when it is FALSE, *error says why. */
gboolean job_end(Job *job, gboolean ok, GError **error);
/** Without an end before it: as a failure that nobody explained. */
void job_clear(Job *job);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Job, job_clear)
