/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/job.h>
#include <store/paths.h>

/**
 * Job files, through which processes of one root list and control each other's jobs. A job has one
 * small file in DATA/jobs. The process that works on it (its worker) holds an OFD lock on the file.
 * A job that has not ended and has no lock on its file was interrupted. The last CST_JOBS_KEPT jobs
 * are kept for an hour after their end.
 *
 * The worker writes the job's status into the file. Other processes write requests (to cancel, a
 * rate limit), which the worker polls. Unless a comment says otherwise, writes are not synced. A
 * power loss may lose the list of jobs, but not their effects.
 */

#define CST_JOBS_KEPT      100  /* maximum number of ended jobs */
#define CST_JOBS_KEPT_SECS 3600 /* seconds after their end */
#define CST_JOB_ATTEMPTS   3    /* workers of one job; limited because the job may crash them */

/** The file of a job that this process works on. Not thread safe. */
typedef struct CstJobFile CstJobFile;

/**
 * Creates the file of a new job and locks it. *ret_id is the job's number. It is durable and never
 * used again, even after a power loss. Ignores @job's id.
 */
CstJobFile *cst_job_file_publish(const CstPaths *paths, const CstJobInfo *job, uint64_t *ret_id,
                                 GError **error);
/** Writes the status: all members of @job except its id. */
void cst_job_file_update(CstJobFile *file, const CstJobInfo *job);
/**
 * Reads the requests. *ret_limit is the rate limit that was set last. If the file cannot be read,
 * it is unchanged and *ret_cancel is FALSE.
 */
void cst_job_file_read_requests(CstJobFile *file, gboolean *ret_cancel, uint64_t *ret_limit);
/**
 * Writes the final status and marks the job as ended. Syncs the status of a job with resume data,
 * so that the job is not resumed after a power loss. Frees @file.
 */
void cst_job_file_end(CstJobFile *file, const CstJobInfo *job);
/** Writes the status and releases the job, so that a later daemon can resume it. Frees @file. */
void cst_job_file_suspend(CstJobFile *file, const CstJobInfo *job);
/**
 * Whether the job can be resumed: attempts are left, and @resume and the names fit into a record.
 */
gboolean cst_job_file_can_resume(const CstJobInfo *job);
/** Whether @text fits into a record as @resume. */
gboolean cst_job_file_resume_fits(const char *text);

/** Returns all jobs of the root, sorted by number: elements CstJobInfo *, freed with the array. */
GPtrArray *cst_job_files_load(const CstPaths *paths);
/** Returns the job with number @id. Fails with NOT_FOUND if it does not exist or has expired. */
CstJobInfo *cst_job_file_load(const CstPaths *paths, uint64_t id, GError **error);

/**
 * Requests that a job stop. Fails with STATE if it has ended, and with UNSUPPORTED if it cannot be
 * cancelled.
 */
gboolean cst_job_file_cancel(const CstPaths *paths, uint64_t id, GError **error);
/**
 * Requests a rate limit in bytes per second; 0: no limit. Fails with STATE if the job has ended.
 */
gboolean cst_job_file_set_limit(const CstPaths *paths, uint64_t id, uint64_t limit, GError **error);

/**
 * Receives an interrupted job, which this process has locked. Takes ownership of @file and @job.
 */
typedef void (*CstJobResumeFunc)(CstJobFile *file, CstJobInfo *job, gpointer data);

/**
 * Recovers the jobs of dead processes. Jobs that can be resumed are passed to @resume in state
 * WAITING with an incremented attempt; with @resume NULL they remain for another process. All other
 * jobs, including jobs after CST_JOB_ATTEMPTS attempts and jobs older than an hour, are marked as
 * interrupted. Failures are logged.
 */
void cst_job_files_recover(const CstPaths *paths, CstJobResumeFunc resume, gpointer data);
