/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Waits on conditions that end as POSIX permits, and as schedulers seldom do. Linked with
 * --wrap=g_cond_wait and --wrap=g_cond_wait_until. wait_wake_next() and wait_run_before_lock() act
 * on the thread that calls them: in a function of point_run(), at the point directly before the
 * wait.
 */

/** Waits until @waits calls of g_cond_wait() have begun, in any thread; aborts after minutes. */
void wait_await_begun(guint waits);

/** The next wait of this thread returns at once, although nothing has changed. */
void wait_wake_next(void);

/**
 * Calls @act(@data) when the next wait of this thread has been woken, before the thread has the
 * lock again: as if other threads had been faster.
 */
void wait_run_before_lock(void (*act)(gpointer data), gpointer data);
