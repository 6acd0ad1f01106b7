/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <crash_config.h>

#include <base/test_point.h>

/**
 * CST_CRASH_POINT("vol.create.reserved") marks a point at which a kill -9 must do no harm. It has
 * an effect only in builds with -Dcrash_points=true:
 *
 * - The process kills itself with SIGKILL at the point that CISTERN_CRASH_AT in the environment
 *   names ("NAME", or "NAME:2" for the second pass).
 * - It stops itself with SIGSTOP at the point in CISTERN_CRASH_STOP, in the same form, until it
 *   gets SIGCONT.
 * - It appends the name of every point that it passes to the file CISTERN_CRASH_LOG.
 *
 * In each build with tests it is a test point, too.
 */
#ifdef CST_CRASH_POINTS
/**
 * Passes the point @name: logs it, and stops or kills the process if the environment selects the
 * point. Any thread.
 */
void cst_crash_point(const char *name);
#define CST_CRASH_POINT(name)  \
    do {                       \
        CST_TEST_POINT(name);  \
        cst_crash_point(name); \
    } while (0)
#else
#define CST_CRASH_POINT(name) CST_TEST_POINT(name)
#endif
