/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The most threads of one cst_threads_run(). */
#define CST_THREADS_MAX 64u

/**
 * Runs @func(@data) on @count threads (1 to CST_THREADS_MAX), the calling one among them, and
 * returns when all have returned. When fewer threads can be made, fewer run: @func takes pieces of
 * shared work until none is left. The threads log with the caller's context.
 */
void cst_threads_run(GThreadFunc func, gpointer data, unsigned count);
