/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * One thread that waits for changes behind our back in active pools and brings their tables up to
 * date, a moment after the last change of a burst.
 */
typedef struct Monitor Monitor;

Monitor *monitor_new(void);
void monitor_free(Monitor *monitor);
/** Watches an active pool until it is stopped. NULL monitor: nothing is watched. */
void monitor_watch(Monitor *monitor, CstPool *pool);
/** Says that a pool has been stopped. */
void monitor_unwatch(Monitor *monitor);
