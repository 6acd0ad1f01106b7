/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ends the process past the destructors of libraries whose threads still run. A call may hang in
 * such a library for as long as its servers like, and closing a connection may take seconds: the
 * end of a program waits for neither.
 */
#include <base/foreign.h>

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static gint connections;

void cst_foreign_enter(void)
{
    g_atomic_int_inc(&connections);
}

void cst_foreign_leave(void)
{
    g_atomic_int_add(&connections, -1);
}

static void end_without_destructors(int status, void *unused)
{
    if (g_atomic_int_get(&connections) == 0)
        return;
    fflush(NULL);
    _exit(status);
}

void cst_foreign_loaded(void)
{
    on_exit(end_without_destructors, NULL);
}
