/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/job.h>
#include <store/paths.h>

/**
 * Jobs as other processes of the same root see them: one small file each in DATA/jobs, on which
 * the process that does the work holds an OFD lock. A job whose lock is gone before its end was
 * interrupted. Ended ones are kept for an hour, the last hundred of them.
 *
 * What is asked of a job (to stop, another rate) is written into its file; the process that does
 * it looks there every now and then. Writing and reading are plain calls on the page cache, never
 * synced: a power cut may lose what jobs there were, not what they did.
 */

#define CST_JOBS_KEPT      100
#define CST_JOBS_KEPT_SECS 3600
#define CST_JOB_ATTEMPTS   3 /* it may be what ends the daemons */

/** A job of this process, published. */
typedef struct CstJobFile CstJobFile;

/** Gives it its number, *ret_id. What @job says but for id and ended. */
CstJobFile *cst_job_file_publish(const CstPaths *paths, const CstJobInfo *job, uint64_t *ret_id,
                                 GError **error);
/** How far it is: everything in @job but its id. */
void cst_job_file_update(CstJobFile *file, const CstJobInfo *job);
/** What was asked of it since it was published; *ret_limit as told last. */
void cst_job_file_read_requests(CstJobFile *file, gboolean *ret_cancel, uint64_t *ret_limit);
/** The same as an update, and it has ended: lets go. Frees @file. */
void cst_job_file_end(CstJobFile *file, const CstJobInfo *job);
/** The same, but it is left for the next daemon to go on with. */
void cst_job_file_suspend(CstJobFile *file, const CstJobInfo *job);
/** It can be gone on with: @resume and its names are told by a file as they are. */
gboolean cst_job_file_can_resume(const CstJobInfo *job);

/** Elements CstJobInfo *, by number. */
GPtrArray *cst_job_files_load(const CstPaths *paths);
/** NOT_FOUND when there is none, or no longer. */
CstJobInfo *cst_job_file_load(const CstPaths *paths, uint64_t id, GError **error);

/** Ask; STATE when it has ended, UNSUPPORTED when it can't be cancelled. */
gboolean cst_job_file_cancel(const CstPaths *paths, uint64_t id, GError **error);
gboolean cst_job_file_set_limit(const CstPaths *paths, uint64_t id, uint64_t limit, GError **error);

/** Takes over both: a job whose process is gone, and that is locked for this one now. */
typedef void (*CstJobResumeFunc)(CstJobFile *file, CstJobInfo *job, gpointer data);

/**
 * Writes the end of jobs whose process is gone, and drops what need not be kept. Those that can be
 * gone on with are given to @take, as waiting and with their next attempt; NULL: stay for whoever
 * can. After CST_JOB_ATTEMPTS, or an hour, nobody does any more.
 */
void cst_job_files_recover(const CstPaths *paths, CstJobResumeFunc take, gpointer data);
