/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * Waits for changes by other programs in active pools, and updates the tables a short time after
 * the first change of a burst. A pool on storage that hangs delays only itself.
 */
typedef struct Monitor Monitor;

/** Starts the thread. */
Monitor *monitor_new(void);
/** Begins no more scans and waits for running scans, which use their pools. NULL is accepted. */
void monitor_free(Monitor *monitor);
/**
 * Watches an active pool until it is stopped. Does nothing if @monitor is NULL, the pool is not
 * active or its type has no watch. Opens the storage.
 */
void monitor_watch(Monitor *monitor, CstPool *pool);
/** Has the thread free the watches of stopped pools. Does not wait. NULL is accepted. */
void monitor_unwatch(Monitor *monitor);
