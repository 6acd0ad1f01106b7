/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Checked allocations (base/alloc.h) that fail on request. In a program with no_memory_dep the
 * linker redirects the calls of its libraries to this file. Calls inside GLib are not redirected.
 */
#include <glib.h>

/** Makes the @nth allocation (from 1) from now on fail once; 0: no allocation. */
void no_memory_arm(guint nth);

/** TRUE once it has failed. */
gboolean no_memory_struck(void);
