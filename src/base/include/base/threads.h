/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The maximum number of threads of one cst_threads_run(). */
#define CST_THREADS_MAX 64u

/**
 * Runs @func(@data) on @count threads (1 to CST_THREADS_MAX), including the calling one, and
 * returns when all have returned. If fewer threads can be created, fewer run. So @func must consume
 * pieces of shared work until all are done. The threads log with the caller's context, and are in
 * a dry run if the caller is.
 */
void cst_threads_run(GThreadFunc func, gpointer data, unsigned count);

/**
 * Calls @func(i, @data) once for each i below @items, on at most @count threads including the
 * calling one, and returns when all calls have returned.
 */
void cst_threads_each(void (*func)(guint i, gpointer data), gpointer data, guint items,
                      unsigned count);
