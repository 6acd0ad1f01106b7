/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * Waits for changes behind our back in active pools and brings their tables up to date, a moment
 * after the first change of a burst. A pool whose storage hangs delays only itself.
 */
typedef struct Monitor Monitor;

/** Starts the thread. */
Monitor *monitor_new(void);
/** Begins no more scans and waits for those under way, which use their pools. NULL is accepted. */
void monitor_free(Monitor *monitor);
/**
 * Watches an active pool until it is stopped. Does nothing when @monitor is NULL, the pool is not
 * active or its type has no watch. Opens the storage.
 */
void monitor_watch(Monitor *monitor, CstPool *pool);
/** Frees the watches of pools that have been stopped, soon. NULL is accepted. */
void monitor_unwatch(Monitor *monitor);
