/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#define AWAIT_S 300

/**
 * Waits until @condition holds, which no test point shows; fails the test with its text after
 * AWAIT_S seconds.
 */
#define AWAIT(condition)                                                          \
    do {                                                                          \
        gint64 await_end = g_get_monotonic_time() + AWAIT_S * G_TIME_SPAN_SECOND; \
                                                                                  \
        while (!(condition)) {                                                    \
            if (g_get_monotonic_time() > await_end)                               \
                fail_msg("not so after %d s: %s", AWAIT_S, #condition);           \
            g_usleep(1000);                                                       \
        }                                                                         \
    } while (0)
