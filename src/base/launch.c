/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts a program by vfork(), which lends the child our memory until it runs the program, where
 * fork() would copy the tables of all of it: milliseconds in a daemon with many volumes.
 * posix_spawn(), which does the same, has no umask.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The child's part, in its parent's memory: system calls, and no word about what else is there. A
 * group of its own is what can be killed whole; files that the program creates are private until we
 * change their mode; signals are as a program expects them. Returns when it can't run.
 */
static void become(const Launch *launch)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    umask(077);
    /* Input is the standard one already where our process has none of its own. */
    if (dup2(launch->in, STDIN_FILENO) >= 0 && fcntl(STDIN_FILENO, F_SETFD, 0) == 0 &&
        dup2(launch->out, STDOUT_FILENO) >= 0 && dup2(launch->err, STDERR_FILENO) >= 0 &&
        close_range(STDERR_FILENO + 1, ~0U, 0) == 0)
        execvpe(launch->argv[0], (char *const *)launch->argv, (char *const *)launch->env);
}

GPid child_launch(const Launch *how)
{
    volatile int failed = 0; /* errno; the child says so */
    sigset_t all, before;
    GPid pid;

    /* A handler of ours that ran in the child would change what is ours. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
    if (pid == 0) {
        become(how);
        failed = errno;
        _exit(127);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid > 0 && failed) {
        (void)TEMP_FAILURE_RETRY(waitpid(pid, NULL, 0));
        errno = failed;
        return -1;
    }
    return pid;
}
