/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/service.h>

/** The jobs of dead processes that this process resumes. */
typedef struct Resumption Resumption;

/**
 * Marks the jobs of dead processes as interrupted, except those that can be resumed: a daemon takes
 * them over, an embedded process leaves them.
 */
Resumption *resumption_new(CstService *service);
/** Resumes the jobs in threads, each one once its pool is active. */
void resumption_start(Resumption *resumption);
/** Waits for the jobs under way and cancels those not begun. NULL is accepted. */
void resumption_free(Resumption *resumption);
