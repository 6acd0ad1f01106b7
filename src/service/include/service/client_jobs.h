/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <service/service.h>

/**
 * Jobs whose work a client does, as an import, which reads what no daemon should: they are listed,
 * limited and cancelled as all others are. The client tells how far it is and asks what was
 * requested. A job belongs to the connection that began it, and is interrupted when that one ends.
 *
 * All functions may be called from any thread, at the same time.
 */

/** The jobs of one connection. */
typedef struct CstClientJobs CstClientJobs;

#define CST_CLIENT_JOBS_OF_ONE 4   /**< jobs at a time of a connection */
#define CST_CLIENT_JOBS        256 /**< of all of them */
#define CST_CLIENT_JOB_NAME    255 /**< bytes of the name of a pool or volume */
#define CST_CLIENT_JOB_ERROR   1000

typedef struct {
    const char *kind;   /**< "import", …: a row of core/job_kind.c */
    const char *pool;   /**< its name, or what else the work is about */
    const char *volume; /**< NULL: none */
    uint64_t limit;     /**< bytes a second that it begins with; 0: none */
    /**
     * A number that nobody can guess. Work of the service for connections that have it
     * (cst_client_jobs_set_group()) is a part of this job and not listed beside it. 0: none.
     */
    uint64_t group;
} CstClientJob;

/** @uid, @pid: whose connection it is. Never NULL. */
CstClientJobs *cst_client_jobs_new(CstService *service, uid_t uid, pid_t pid);
/** Interrupts the jobs; none can be begun from now on. Waits for nothing. */
void cst_client_jobs_close(CstClientJobs *jobs);
/** Frees what was closed, and nobody uses. NULL is accepted. */
void cst_client_jobs_free(CstClientJobs *jobs);

/**
 * Begins a job and lists it. *ret_handle, which can't be guessed, names it for the functions below,
 * and *ret_id for everybody. INVALID for a kind or a text that no job can have, STATE when there
 * are too many jobs. Writes a file.
 */
gboolean cst_client_job_begin(CstClientJobs *jobs, const CstClientJob *what, uint64_t *ret_handle,
                              uint64_t *ret_id, GError **error);
/**
 * Sets how far the job is (bytes; @total 0: unknown), and gets what was requested: its end, the
 * limit of its rate. NOT_FOUND when the connection has no such job. Waits for nothing.
 */
gboolean cst_client_job_progress(CstClientJobs *jobs, uint64_t handle, uint64_t done,
                                 uint64_t total, gboolean *ret_cancel, uint64_t *ret_limit,
                                 GError **error);
/**
 * Ends the job: done, or (@word: that of an error class, not NULL) failed with the sentence @text.
 * NOT_FOUND, INVALID. Writes a file.
 */
gboolean cst_client_job_end(CstClientJobs *jobs, uint64_t handle, const char *word,
                            const char *text, GError **error);

/** Makes the connection's calls from now on parts of the job that has this group; 0: of none. */
void cst_client_jobs_set_group(CstClientJobs *jobs, uint64_t group);
/** Returns the group; 0 for NULL. */
uint64_t cst_client_jobs_group(CstClientJobs *jobs);
