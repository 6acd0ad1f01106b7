/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/job.h>
#include <service/service.h>

/**
 * Jobs: work on storage that lasts. Every call of this service that may take over a second is one;
 * it is listed once it has lasted a moment, whichever process of this root does it. A number is
 * never used again. Jobs that have ended are listed for an hour at most.
 */

/** Returns CstJobInfo * by number: the jobs under way, with @ended also those that are over. */
GPtrArray *cst_service_jobs(CstService *service, gboolean ended);
/**
 * Returns one job, which the caller frees; NULL with NOT_FOUND when there is none, or no longer.
 */
CstJobInfo *cst_service_job(CstService *service, uint64_t id, GError **error);
/**
 * Requests that the job stops; cst_service_job() reports how it ended. STATE when it has ended,
 * UNSUPPORTED when it can't be cancelled.
 */
gboolean cst_service_job_cancel(CstService *service, uint64_t id, GError **error);
/** Limits the job's rate to @limit bytes a second; 0: no limit. STATE when it has ended. */
gboolean cst_service_job_set_limit(CstService *service, uint64_t id, uint64_t limit,
                                   GError **error);
