/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/service.h"

/** Allocates the state of recovery. Starts no threads. */
Recovery *recovery_new(void);
/**
 * Replays the journal and adopts the jobs of dead processes. Call it with the definitions loaded
 * and entered, before any other use of the storage.
 */
void recovery_load(CstService *service);
/**
 * Starts the autostart pools, restores active ones and resumes jobs, in separate threads. Only in a
 * daemon.
 */
void recovery_start(CstService *service);
/**
 * Waits for running operations and frees everything. Other calls of the service must have ended.
 */
void recovery_free(Recovery *recovery);

/** Implement ServiceHooks.pool_started, pool_stopped and retry. */
void recovery_pool_started(CstPool *pool);
void recovery_pool_stopped(CstPool *pool);
void recovery_retry(CstPool *pool);
