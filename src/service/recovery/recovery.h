/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/service.h"

/** Allocates the state of recovery, which starts nothing. */
Recovery *recovery_new(void);
/**
 * Replays the journal and takes over the jobs of dead processes. Call it with the definitions
 * loaded and entered, before anything uses the storage.
 */
void recovery_load(CstService *service);
/**
 * Starts the autostart pools, brings back active ones and resumes jobs; all of it in threads. Only
 * in a daemon.
 */
void recovery_start(CstService *service);
/** Waits for what is under way and frees everything. Other calls into the service have ended. */
void recovery_free(Recovery *recovery);

/** ServiceHooks.pool_started, pool_stopped and retry. */
void recovery_pool_started(CstPool *pool);
void recovery_pool_stopped(CstPool *pool);
void recovery_retry(CstPool *pool);
