/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/** The jobs of dead processes that this process resumes. */
typedef struct Resumption Resumption;

/**
 * Marks the jobs of dead processes as interrupted, except resumable jobs: a daemon adopts them, an
 * embedded process leaves them unchanged.
 */
Resumption *resumption_new(CstService *service);
/** Resumes the jobs in threads, each job once its pool is active. */
void resumption_start(Resumption *resumption);
/** Waits for running jobs and cancels jobs that have not begun. NULL is accepted. */
void resumption_free(Resumption *resumption);
