/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/job.h>
#include <store/paths.h>

/**
 * Job files: how processes of one root see and control each other's jobs. A job has one small file
 * in DATA/jobs, and the process that works on it (its worker) holds an OFD lock on the file. A job
 * that has not ended and whose file is not locked was interrupted. The last CST_JOBS_KEPT jobs are
 * kept for an hour after their end.
 *
 * The worker writes the job's status into the file; other processes write requests (to cancel, a
 * rate limit), which the worker polls. Except where a comment says otherwise nothing is synced: a
 * power cut may lose the list of jobs, not what they did.
 */

#define CST_JOBS_KEPT      100  /* ended jobs */
#define CST_JOBS_KEPT_SECS 3600 /* after their end */
#define CST_JOB_ATTEMPTS   3    /* workers of one job: it may be what crashes them */

/** The file of a job that this process works on. Not thread safe. */
typedef struct CstJobFile CstJobFile;

/**
 * Creates the file of a new job and locks it. *ret_id is the job's number, which is durable: it is
 * never used again, even after a power cut. Ignores @job's id and ended.
 */
CstJobFile *cst_job_file_publish(const CstPaths *paths, const CstJobInfo *job, uint64_t *ret_id,
                                 GError **error);
/** Writes the status: everything in @job but its id. */
void cst_job_file_update(CstJobFile *file, const CstJobInfo *job);
/**
 * Reads the requests. *ret_limit is the limit of the rate that was set last; unchanged when the
 * file cannot be read.
 */
void cst_job_file_read_requests(CstJobFile *file, gboolean *ret_cancel, uint64_t *ret_limit);
/**
 * Writes the final status and marks the job as ended. Syncs the status of a job that could be
 * resumed, so that it is not. Frees @file.
 */
void cst_job_file_end(CstJobFile *file, const CstJobInfo *job);
/** Writes the status and releases the job, for a later daemon to resume. Frees @file. */
void cst_job_file_suspend(CstJobFile *file, const CstJobInfo *job);
/** Whether the job can be resumed: attempts are left, and @resume and the names fit into a file. */
gboolean cst_job_file_can_resume(const CstJobInfo *job);

/** All jobs of the root, sorted by number. Elements CstJobInfo *, freed with the array. */
GPtrArray *cst_job_files_load(const CstPaths *paths);
/** The job with number @id; NOT_FOUND when there is none, or no longer. */
CstJobInfo *cst_job_file_load(const CstPaths *paths, uint64_t id, GError **error);

/** Requests that a job stops. STATE when it has ended, UNSUPPORTED when it cannot be cancelled. */
gboolean cst_job_file_cancel(const CstPaths *paths, uint64_t id, GError **error);
/** Requests a rate limit, bytes per second, 0: none. STATE when the job has ended. */
gboolean cst_job_file_set_limit(const CstPaths *paths, uint64_t id, uint64_t limit, GError **error);

/** Receives an interrupted job, which this process has locked. Takes over @file and @job. */
typedef void (*CstJobResumeFunc)(CstJobFile *file, CstJobInfo *job, gpointer data);

/**
 * Recovers the jobs whose process is gone. Those that can be resumed are passed to @resume in state
 * WAITING with their attempt counted up; with @resume NULL they stay for another process. All
 * others, those after CST_JOB_ATTEMPTS attempts and those older than an hour are marked as
 * interrupted. Failures are logged.
 */
void cst_job_files_recover(const CstPaths *paths, CstJobResumeFunc resume, gpointer data);
