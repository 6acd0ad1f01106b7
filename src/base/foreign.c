/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loads libraries. At the end of the process skips the destructors of libraries that still have
 * threads. A call may hang in such a library without limit, and closing a connection may last ten
 * seconds (Gluster). The end of a program waits for neither.
 *
 * exit() runs handlers in the reverse order of their registration. During its first connection a
 * library initialises other libraries, above all OpenSSL, which then registers its own handler. So
 * our handler is registered after the libraries were loaded, and again after the first connections.
 * Otherwise OpenSSL would be torn down while a thread that closes a connection uses it.
 *
 * No order helps while a thread is connecting, so our programs call cst_foreign_end() before
 * exit(). From then on no thread begins a connection or a load, because it would use or initialise
 * state that exit() is destroying.
 */
#include <base/foreign.h>

#include <dlfcn.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <base/test_point.h>

/* --- loading ---------------------------------------------------------------------------------- */

void cst_foreign_open(CstForeign *libraries, const char *const *names)
{
    cst_foreign_enter();
    for (guint i = 0; names[i] && !libraries->problem; i++) {
        libraries->handles[i] = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!libraries->handles[i]) {
            const char *why = dlerror();

            libraries->problem = g_strdup(why ? why : "");
        }
    }
    cst_foreign_leave();
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

/* --- end of the process ----------------------------------------------------------------------- */

/* How many connections register our handler again. Each registration keeps some bytes for good. */
#define REGISTERED_MAX 16

static GMutex lock; /* guards the variables below */
static GCond never;
static guint connections; /* open, or being opened or closed; and loads */
static gboolean ending;

void cst_foreign_enter(void)
{
    g_mutex_lock(&lock);
    while (ending) {
        CST_TEST_POINT("foreign.enter.wait");
        g_cond_wait(&never, &lock);
    }
    connections++;
    g_mutex_unlock(&lock);
}

void cst_foreign_leave(void)
{
    g_mutex_lock(&lock);
    connections--;
    g_mutex_unlock(&lock);
}

void cst_foreign_end(int status)
{
    gboolean is_used;

    g_mutex_lock(&lock);
    ending = TRUE;
    is_used = connections > 0;
    g_mutex_unlock(&lock);
    if (!is_used)
        return;
    fflush(NULL);
    _exit(status);
}

static void end_without_destructors(int status, void *unused)
{
    cst_foreign_end(status);
}

void cst_foreign_loaded(void)
{
    on_exit(end_without_destructors, NULL);
}

void cst_foreign_connected(void)
{
    static gint times;

    if (g_atomic_int_add(&times, 1) < REGISTERED_MAX)
        cst_foreign_loaded();
}
