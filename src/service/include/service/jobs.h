/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/job.h>
#include <service/service.h>

/**
 * Jobs: the work on storage that lasts. Every call of this service that may take over a second is
 * one; it is listed once it has lasted a moment, whichever process of this root does it. A number
 * is never given twice. How a job ended can be asked for an hour.
 */

/** Elements CstJobInfo *, by number: those that go on, with @ended also those that are over. */
GPtrArray *cst_service_jobs(CstService *service, gboolean ended);
/** NOT_FOUND when there is none with this number, or no longer. */
CstJobInfo *cst_service_job(CstService *service, uint64_t id, GError **error);
/** Asks it to stop; how it ends then is for cst_service_job() to tell. */
gboolean cst_service_job_cancel(CstService *service, uint64_t id, GError **error);
/** Bytes a second; 0: as fast as it goes. */
gboolean cst_service_job_set_limit(CstService *service, uint64_t id, uint64_t limit,
                                   GError **error);
