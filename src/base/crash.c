/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Crash points of test builds (see the header). The environment is read at each point and the
 * number of passes counted in the process, so a test chooses the point and the pass without a build
 * of its own. SIGKILL leaves what a real kill leaves: no handler runs, no buffer is flushed.
 */
#include <base/crash.h>

#ifdef CST_CRASH_POINTS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

void cst_crash_point(const char *name)
{
    /* Passes of the chosen point; several threads may reach it. */
    static atomic_int passes;
    const char *at = getenv("CISTERN_CRASH_AT");
    size_t len = strlen(name);

    log_passage(name);
    if (!at || strncmp(at, name, len) != 0 || (at[len] != '\0' && at[len] != ':'))
        return;
    if (++passes >= (at[len] == ':' ? atoi(at + len + 1) : 1))
        kill(getpid(), SIGKILL);
}

#else

/* ISO C has no empty translation units. */
typedef int CstNoCrashPoints;

#endif
