/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "conn.h"

/**
 * A job whose work this program does, as an import; the service lists it as any other. An embedded
 * connection may be given to the next three functions by another thread than its own.
 */
typedef struct {
    const char *kind;   /**< "import", …: what servers know */
    const char *pool;   /**< its name, or what else the work is about */
    const char *volume; /**< NULL: none */
    uint64_t limit;     /**< bytes a second; 0: none */
    uint64_t group;     /**< drawn by chance; see cst_conn_set_job_group() */
} CstConnJob;

/**
 * Begins a job, which is interrupted when @conn ends before it. *ret_handle is for the next two
 * functions. NO_SUPPORT by a server that has no such jobs.
 */
gboolean cst_conn_client_job_begin(CstConn *conn, const CstConnJob *job, uint64_t *ret_handle,
                                   uint64_t *ret_id, GError **error);
/** Tells how far it is, and gets whether it is to stop, and the limit of its rate. */
gboolean cst_conn_client_job_progress(CstConn *conn, uint64_t handle, CstProgress progress,
                                      gboolean *ret_cancel, uint64_t *ret_limit, GError **error);
/** Ends it: done, or (@why not NULL) failed with that. */
gboolean cst_conn_client_job_end(CstConn *conn, uint64_t handle, const GError *why, GError **error);
/**
 * What is called over this connection from now on is a part of the job with that group, which may
 * be another connection's, and is not listed beside it. 0: of none. NO_SUPPORT as above.
 */
gboolean cst_conn_set_job_group(CstConn *conn, uint64_t group, GError **error);
