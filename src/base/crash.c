/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Crash points of test builds (see the header). The environment is read at each point and the
 * passes are counted in the process. So a test chooses the point and the pass without a special
 * build. SIGKILL has the effect of a real kill: no handler runs, no buffer is flushed.
 */
#include <base/crash.h>

#ifdef CST_CRASH_POINTS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

static void log_passage(const char *name)
{
    const char *path = getenv("CISTERN_CRASH_LOG");
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    if (write(fd, name, strlen(name)) < 0 || write(fd, "\n", 1) < 0)
        abort();
    close(fd);
}

/* Whether @variable names this pass of the point, "NAME" or "NAME:PASS"; @passes counts its own. */
static gboolean is_chosen(const char *variable, const char *name, atomic_int *passes)
{
    const char *at = getenv(variable);
    size_t len = strlen(name);

    if (!at || strncmp(at, name, len) != 0 || (at[len] != '\0' && at[len] != ':'))
        return FALSE;
    return ++*passes == (at[len] == ':' ? atoi(at + len + 1) : 1);
}

void cst_crash_point(const char *name)
{
    /* Several threads may reach a point at once. */
    static atomic_int stops, kills;

    log_passage(name);
    if (is_chosen("CISTERN_CRASH_STOP", name, &stops))
        raise(SIGSTOP); /* raise() stops this thread before its next step */
    if (is_chosen("CISTERN_CRASH_AT", name, &kills))
        kill(getpid(), SIGKILL);
}

#else

/* ISO C has no empty translation units. */
typedef int CstNoCrashPoints;

#endif
