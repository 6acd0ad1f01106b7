/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <crash_config.h>

#include <base/test_point.h>

/**
 * CST_CRASH_POINT("vol.create.reserved") marks a place where a kill -9 must do no harm. Built with
 * -Dcrash_points=true, the process kills itself with SIGKILL at the point named by the
 * environment's CISTERN_CRASH_AT ("NAME" or "NAME:2" for the second pass), stops itself with
 * SIGSTOP at the one named by CISTERN_CRASH_STOP, in the same form, until somebody has it go on,
 * and appends the name of every point it passes to the file CISTERN_CRASH_LOG. In each build with
 * tests it is a test point, too. Otherwise it is nothing.
 */
#ifdef CST_CRASH_POINTS
/**
 * Passes the point @name: logs it, and stops or kills the process if it is the one that was chosen.
 * Any thread.
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
