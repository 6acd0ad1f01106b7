/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glib.h>

/**
 * Returns the number of open descriptors of this process, including one for the count itself. For
 * comparison with an earlier count.
 */
static inline guint count_descriptors(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    guint count = 0;

    assert_non_null(dir);
    while (g_dir_read_name(dir))
        count++;
    return count;
}
