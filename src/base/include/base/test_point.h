/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * CST_TEST_POINT("pool.claim.wait") names a point at which a unit test can act: a thread is about
 * to wait, a lock is released briefly, a failed change is being rolled back, or a budget is
 * charged. A test installs a function (tests/unit/points.h) that runs in the thread that passes the
 * point. The function may run another operation there, block the thread, or make the next call
 * fail.
 *
 * Place the macro directly before the wait, between the unlock and the lock, or as the first
 * statement of the rollback. The name is "noun.operation.step" and is unique in src. `make lint`
 * (check "points") fails for a name that no test uses, and for a wait without a point.
 *
 * Builds with -Dtests=true (the default) contain the points; packages do not. A point without a
 * function costs one load and one branch.
 */
#ifdef CST_TEST_POINTS

/**
 * Called with the @name of a point, in the thread that passes it and with the locks that this
 * thread holds there.
 */
typedef void (*CstTestPointFunc)(const char *name);

/** Installs @func for all points of the process; NULL removes it. Any thread. */
void cst_test_point_install(CstTestPointFunc func);

/** Passes the point @name: calls the installed function, if there is one. Any thread. */
void cst_test_point_pass(const char *name);

#define CST_TEST_POINT(name) cst_test_point_pass(name)
#else
#define CST_TEST_POINT(name) ((void)0)
#endif
