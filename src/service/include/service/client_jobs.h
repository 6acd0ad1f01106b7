/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <service/service.h>

/**
 * Jobs for work that a client does. An example is an import: the client parses an image that the
 * daemon must not read. The service lists, limits and cancels them like all other jobs. The client
 * reports its progress and polls for requests. A job belongs to the connection that began it, and
 * is interrupted when the connection ends. All functions may be called from any thread,
 * concurrently.
 */

/** The jobs of one connection. */
typedef struct CstClientJobs CstClientJobs;

#define CST_CLIENT_JOBS_OF_ONE 4   /**< maximum of concurrent jobs of one connection */
#define CST_CLIENT_JOBS        256 /**< maximum for all connections together */
#define CST_CLIENT_JOB_NAME    255 /**< maximal length of the name of a pool or volume, in bytes */
#define CST_CLIENT_JOB_ERROR   1000

typedef struct {
    const char *kind;   /**< "import", …: a row of the table client_kinds in core/job_kind.c */
    const char *pool;   /**< name of the pool, or another description of the work's object */
    const char *volume; /**< NULL: no volume */
    uint64_t limit;     /**< initial rate limit in bytes per second; 0: unlimited */
    /**
     * An unguessable number; 0: no group. Calls of the service on connections with this group
     * (cst_client_jobs_set_group()) are parts of this job, and have no entries of their own in the
     * list.
     */
    uint64_t group;
} CstClientJob;

/**
 * Creates the table of jobs for a connection. @uid, @pid: the client at the other end of the
 * connection. Never returns NULL.
 */
CstClientJobs *cst_client_jobs_new(CstService *service, uid_t uid, pid_t pid);
/** Interrupts the jobs of the connection and refuses new ones. Does not block. */
void cst_client_jobs_close(CstClientJobs *jobs);
/** Frees a table that was closed and that no thread uses any more. NULL is accepted. */
void cst_client_jobs_free(CstClientJobs *jobs);

/**
 * Begins a job and lists it. Writes a file.
 *
 * *ret_handle is an unguessable handle for the functions below. *ret_id is the public job number.
 * Errors: INVALID for an unknown kind or an unsuitable text, STATE when too many jobs are running.
 */
gboolean cst_client_job_begin(CstClientJobs *jobs, const CstClientJob *what, uint64_t *ret_handle,
                              uint64_t *ret_id, GError **error);
/**
 * Sets the progress in bytes (@total 0: unknown). Returns in *ret_cancel whether the job was
 * cancelled, and in *ret_limit the rate limit in force. NOT_FOUND when the connection has no such
 * job. Does not block.
 */
gboolean cst_client_job_progress(CstClientJobs *jobs, uint64_t handle, uint64_t done,
                                 uint64_t total, gboolean *ret_cancel, uint64_t *ret_limit,
                                 GError **error);
/**
 * Ends the job. @word NULL: it succeeded; else it failed with the error class @word and the message
 * @text. Errors: NOT_FOUND for an unknown handle, INVALID for an unknown class or an unsuitable
 * text. Writes a file.
 */
gboolean cst_client_job_end(CstClientJobs *jobs, uint64_t handle, const char *word,
                            const char *text, GError **error);

/** Makes further calls on the connection parts of the job that has this group. 0: of no job. */
void cst_client_jobs_set_group(CstClientJobs *jobs, uint64_t group);
/** Returns the group set by cst_client_jobs_set_group(). Returns 0 if @jobs is NULL. */
uint64_t cst_client_jobs_group(CstClientJobs *jobs);
