/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * Starts pools when the daemon starts, several at a time. Active pools are scanned and watched, and
 * autostart pools are started. A failed start is retried with increasing delays until it succeeds
 * or is no longer wanted. Until then the pool's problem contains the error.
 */
typedef struct Autostart Autostart;

/** Starts the scheduler thread. No pool is started before autostart_add(). */
Autostart *autostart_new(void);
/** Waits for running starts and drops waiting ones. NULL is accepted. */
void autostart_free(Autostart *autostart);
/**
 * Adds a pool that has to be started or is active. Ignores other pools, and pools that have a task.
 * Also called later, for an active pool whose storage stopped answering. Callable from any thread.
 */
void autostart_add(Autostart *autostart, CstPool *pool);
