/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "no_memory.h"

gpointer __real_g_try_malloc0(gsize bytes);
gpointer __wrap_g_try_malloc0(gsize bytes);
gpointer __real_g_try_realloc(gpointer memory, gsize bytes);
gpointer __wrap_g_try_realloc(gpointer memory, gsize bytes);

static gint until = G_MAXINT; /* allocations up to the failing one; 0 or less: it has failed */

void no_memory_arm(guint nth)
{
    g_atomic_int_set(&until, nth == 0 ? G_MAXINT : (gint)nth);
}

gboolean no_memory_struck(void)
{
    return g_atomic_int_get(&until) <= 0;
}

static gboolean is_refused(void)
{
    return g_atomic_int_add(&until, -1) == 1;
}

gpointer __wrap_g_try_malloc0(gsize bytes)
{
    return is_refused() ? NULL : __real_g_try_malloc0(bytes);
}

gpointer __wrap_g_try_realloc(gpointer memory, gsize bytes)
{
    return is_refused() ? NULL : __real_g_try_realloc(memory, bytes);
}
