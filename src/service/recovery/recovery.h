/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/service.h"

/** What brings pools and jobs back, and keeps the tables of active pools up to date. */
Recovery *recovery_new(void);
/** Replays the journal and takes over the jobs of dead processes. Definitions are loaded. */
void recovery_load(CstService *service);
/** Daemon: starts the autostart pools, brings back active ones, and goes on with jobs. */
void recovery_start(CstService *service);
/** Waits for what is under way. */
void recovery_free(Recovery *recovery);

/** The hooks of ServiceHooks that are about recovery. */
void recovery_pool_started(CstPool *pool);
void recovery_pool_stopped(CstPool *pool);
void recovery_retry(CstPool *pool);
