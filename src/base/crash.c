/* SPDX-License-Identifier: LGPL-2.1-or-later */
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

typedef int CstNoCrashPoints;

#endif
