/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#define CST_THREADS_MAX 64u

/**
 * Runs @func(@data) on @count threads (1 to CST_THREADS_MAX), this one among them, and returns when
 * all have. On fewer where no more can be had: they share what is to be done, so it gets done. They
 * log with the context of this one.
 */
void cst_threads_run(GThreadFunc func, gpointer data, unsigned count);
