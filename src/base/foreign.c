/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loads libraries, and ends the process past the destructors of those whose threads still run. A
 * call may hang in such a library for as long as its servers like, and closing a connection may
 * take seconds: the end of a program waits for neither.
 */
#include <base/foreign.h>

#include <dlfcn.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- loading ---------------------------------------------------------------------------------- */

void cst_foreign_open(CstForeign *libraries, const char *const *names)
{
    for (guint i = 0; names[i] && !libraries->problem; i++) {
        libraries->handles[i] = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!libraries->handles[i]) {
            const char *why = dlerror();

            libraries->problem = g_strdup(why ? why : "");
        }
    }
}

void *cst_foreign_find(CstForeign *libraries, const char *name)
{
    void *found = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(libraries->handles) && !found; i++)
        if (libraries->handles[i])
            found = dlsym(libraries->handles[i], name);
    if (!found && !libraries->problem)
        libraries->problem = g_strdup_printf("no function %s", name);
    return found;
}

/* --- the end ---------------------------------------------------------------------------------- */

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
