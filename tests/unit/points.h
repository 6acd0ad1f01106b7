/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Acts at the test points of the product (base/test_point.h), by name. The name of a crash point
 * (base/crash.h) works, too. Set points before the threads that pass them start, and call
 * points_clear() at the end of the test; it fails a test whose points no thread has passed.
 *
 * A test of a race has this form:
 *
 *     point_hold("pool.scan.unlocked");
 *     thread = g_thread_new("scan", scan, pool);
 *     point_await("pool.scan.unlocked", 1); // the thread is exactly there
 *     delete_volume(pool, "v");
 *     point_release("pool.scan.unlocked");
 *     g_thread_join(thread);
 *     points_clear();
 */

/** Calls @act(@data) in the first thread that passes @name from now on, once. */
void point_run(const char *name, void (*act)(gpointer data), gpointer data);

/** Like point_run(), but for each pass. @act may be called by several threads at a time. */
void point_run_always(const char *name, void (*act)(gpointer data), gpointer data);

/** Counts the passes of @name from now on. */
void point_watch(const char *name);

/** Holds the first thread that passes @name, until point_release(). */
void point_hold(const char *name);

/** Lets the thread go on that point_hold() has stopped, or will stop, at @name. */
void point_release(const char *name);

/**
 * Waits until threads have passed @name, or were held there, @passes times since it was set. Aborts
 * the test with a list of the points when that takes longer than POINT_LIMIT_S seconds.
 */
void point_await(const char *name, guint passes);
#define POINT_LIMIT_S 300

/** Returns how often @name was passed since it was set. */
guint point_passed(const char *name);

/** Removes all points. Aborts the test if a point was set and never passed. */
void points_clear(void);
