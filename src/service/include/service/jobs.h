/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/job.h>
#include <service/service.h>

/**
 * Jobs: long-running work on storage. Every call of this service that may take over a second is a
 * job. A job of any process of this root is listed once it has run for a short time. Numbers are
 * never reused. Ended jobs are listed for one hour at most.
 */

/**
 * Returns the running jobs as CstJobInfo *, ordered by number. @ended: include the jobs that have
 * ended.
 */
GPtrArray *cst_service_jobs(CstService *service, gboolean ended);
/**
 * Returns one job, which the caller frees. Returns NULL with NOT_FOUND if the job does not exist or
 * is no longer listed.
 */
CstJobInfo *cst_service_job(CstService *service, uint64_t id, GError **error);
/**
 * Requests the cancellation of the job; cst_service_job() reports how it ended. Errors: STATE when
 * it has ended, UNSUPPORTED when it cannot be cancelled.
 */
gboolean cst_service_job_cancel(CstService *service, uint64_t id, GError **error);
/** Limits the job's rate to @limit bytes a second; 0: no limit. STATE when it has ended. */
gboolean cst_service_job_set_limit(CstService *service, uint64_t id, uint64_t limit,
                                   GError **error);
