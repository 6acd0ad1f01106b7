/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Spurious and late wake-ups of condition waits, which POSIX permits but schedulers rarely produce.
 * Linked with --wrap=g_cond_wait and --wrap=g_cond_wait_until. wait_wake_next() and
 * wait_run_before_lock() affect the calling thread. Call them in a function of point_run(), at the
 * point directly before the wait.
 */

/** Waits until @waits calls of g_cond_wait() have begun, in any thread. Aborts after minutes. */
void wait_await_begun(guint waits);

/** Makes the next wait of this thread return at once, without a change. */
void wait_wake_next(void);

/**
 * Calls @act(@data) when the next wait of this thread has been woken and the lock is not yet
 * acquired. This simulates faster threads.
 */
void wait_run_before_lock(void (*act)(gpointer data), gpointer data);
