/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The function that unit tests install at test points (see the header). It is one atomic pointer,
 * because points are in hot paths and any thread passes them.
 */
#include <base/test_point.h>

#ifdef CST_TEST_POINTS

#include <glib.h>

static CstTestPointFunc installed;

void cst_test_point_install(CstTestPointFunc func)
{
    g_atomic_pointer_set(&installed, func);
}

void cst_test_point_pass(const char *name)
{
    CstTestPointFunc func = g_atomic_pointer_get(&installed);

    if (G_UNLIKELY(func))
        func(name);
}

#else

/* ISO C has no empty translation units. */
typedef int CstNoTestPoints;

#endif
