/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Checked allocations (base/alloc.h) that fail on purpose. A program with no_memory_dep has its
 * libraries' calls led here by the linker; those within GLib go where they always did.
 */
#include <glib.h>

/** The @nth allocation (from 1) from now on fails, once; 0: none. */
void no_memory_arm(guint nth);

/** TRUE once it has failed. */
gboolean no_memory_struck(void);
