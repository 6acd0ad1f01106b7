/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "conn.h"

/**
 * A job that this program executes, such as an import. The service lists it like any other job. The
 * next three functions may be called on an embedded connection from another thread than its own.
 */
typedef struct {
    const char *kind;   /**< "import", …: a kind that the server knows */
    const char *pool;   /**< name of the pool, or of another object of the work */
    const char *volume; /**< NULL: no volume */
    uint64_t limit;     /**< bytes per second; 0: no limit */
    uint64_t group;     /**< random number; see cst_conn_set_job_group() */
} CstConnJob;

/**
 * Begins a job. It is interrupted if @conn is closed before its end. *ret_handle is for the next
 * two functions. Fails with NO_SUPPORT if the server has no such jobs.
 */
gboolean cst_conn_client_job_begin(CstConn *conn, const CstConnJob *job, uint64_t *ret_handle,
                                   uint64_t *ret_id, GError **error);
/** Reports the progress of the job. Returns whether it must stop, and its rate limit. */
gboolean cst_conn_client_job_progress(CstConn *conn, uint64_t handle, CstProgress progress,
                                      gboolean *ret_cancel, uint64_t *ret_limit, GError **error);
/** Ends the job: as done, or as failed with @why if @why is not NULL. */
gboolean cst_conn_client_job_end(CstConn *conn, uint64_t handle, const GError *why, GError **error);
/**
 * Makes all further calls over this connection parts of the job with @group, which may belong to
 * another connection. They are then not listed as separate jobs. 0: no group. Fails with NO_SUPPORT
 * if the server has no such jobs.
 */
gboolean cst_conn_set_job_group(CstConn *conn, uint64_t group, GError **error);
