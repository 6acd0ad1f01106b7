/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * Waits for changes behind our back in active pools and brings their tables up to date, a moment
 * after the first change of a burst. A pool whose storage hangs delays only itself.
 */
typedef struct Monitor Monitor;

Monitor *monitor_new(void);
/** Begins no more scans, and waits for those under way, which use the pools until they end. */
void monitor_free(Monitor *monitor);
/** Watches an active pool until it is stopped. NULL monitor: nothing is watched. */
void monitor_watch(Monitor *monitor, CstPool *pool);
/** Says that a pool has been stopped. */
void monitor_unwatch(Monitor *monitor);
