/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * Starts pools when the daemon starts, several at a time: active ones are scanned and watched,
 * autostart ones started. A start that fails is tried again, later each time, until it succeeds or
 * is no longer wanted; the pool's problem says why meanwhile.
 */
typedef struct Autostart Autostart;

/** Starts the scheduler thread. Nothing is started before autostart_add(). */
Autostart *autostart_new(void);
/** Waits for the starts under way and drops the others. NULL is accepted. */
void autostart_free(Autostart *autostart);
/**
 * Adds a pool that is to be started or is active; others, and those that have a task, are ignored.
 * Call it later, too, for an active pool whose storage stopped answering. From any thread.
 */
void autostart_add(Autostart *autostart, CstPool *pool);
