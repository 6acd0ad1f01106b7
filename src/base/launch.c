/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts a program with vfork(), which shares the memory with the child until exec(). fork() would
 * copy the page tables of all memory: milliseconds in a daemon with many volumes. posix_spawn()
 * also shares the memory, but cannot set a umask.
 *
 * A confined child gets a copy of the memory, because the kernel grants no user namespace to a
 * process that shares its memory. If this process runs as root, the child is process 1 of a PID
 * namespace: the init of the program (confine.c).
 *
 * Until exec() a pipe is open, to which the child writes the errno of a failure. The parent reads
 * it to its end.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/file.h>

#define FIRST_FD (STDERR_FILENO + 1)

/*
 * Sets the descriptors of the child. @high: copies of @how's additional descriptors, with numbers
 * above the ones that they get.
 */
static gboolean take_descriptors(const Launch *how, const int *high)
{
    /* dup2() changes no flags if the descriptor already has the number 0, so clear FD_CLOEXEC. */
    if (dup2(how->in, STDIN_FILENO) < 0 || fcntl(STDIN_FILENO, F_SETFD, 0) < 0 ||
        dup2(how->out, STDOUT_FILENO) < 0 || dup2(how->err, STDERR_FILENO) < 0)
        return FALSE;
    for (guint i = 0; i < how->n_fds; i++)
        if (dup2(high[i], FIRST_FD + (int)i) < 0)
            return FALSE;
    return close_range(FIRST_FD + how->n_fds, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

/*
 * Runs in the child, in the memory of its parent, so it makes system calls only and leaves the
 * parent's memory unchanged. The process group makes it possible to kill the program with all its
 * children. Files that the program creates are private until we change their mode. Signals have
 * their default action. Returns if the program cannot be run.
 */
static void child_exec(const Launch *how, const int *high, const char *program, int parent)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    umask(077);
    if (!take_descriptors(how, high))
        return;
    /* The caller may have ended before the request. */
    if (how->ends_with &&
        (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0 || getppid() != how->ends_with))
        return;
    if (how->confine)
        cst_confine_enter(how->confine, program, parent);
    execvpe(how->argv[0], (char *const *)how->argv, (char *const *)how->env);
}

/*
 * Copies this thread alone. The child of root without a PID namespace refuses to run (confine.c).
 */
static GPid copy_process(const CstConfine *confine)
{
    long pid = -1;

    if (confine->uid)
        pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
    return pid >= 0 ? (GPid)pid : fork();
}

/*
 * @said: the descriptor to which the child writes an errno. POSIX allows a child of vfork() only
 * exec() and _exit(); Linux also allows system calls.
 */
static GPid child_fork(const Launch *how, const int *high, const char *program, int parent,
                       int said)
{
    sigset_t all, before;
    GPid pid;

    /* Blocks signals, because a handler that ran in the child would change the parent's memory. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (how->confine)
        pid = copy_process(how->confine);
    else
        pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
    if (pid == 0) {
        child_exec(how, high, program, parent); /* NOLINT(clang-analyzer-unix.Vfork) */
        (void)!write(said, &errno, sizeof(errno));
        _exit(127);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

/* Returns the errno with which the child failed to run its program; 0: it runs. */
static int failure_of(int said)
{
    int number = 0;

    return TEMP_FAILURE_RETRY(read(said, &number, sizeof(number))) == sizeof(number) ? number : 0;
}

static GPid start_with(const Launch *how, const int *high)
{
    g_autofree char *program = how->confine ? g_find_program_in_path(how->argv[0]) : NULL;
    g_auto(CstFd) hears = -1, says = -1, self = -1, parent = -1;
    int ends[2], failure;
    GPid pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    hears = ends[0];
    /* Uses a number above the descriptors that the child gets. */
    says = fcntl(ends[1], F_DUPFD_CLOEXEC, FIRST_FD + (int)how->n_fds);
    close(ends[1]);
    if (how->confine) {
        self = pidfd_open(getpid(), 0);
        parent = self < 0 ? -1 : fcntl(self, F_DUPFD_CLOEXEC, FIRST_FD + (int)how->n_fds);
        if (parent < 0)
            return -1;
    }
    pid = says < 0 ? -1 : child_fork(how, high, program, parent, says);
    if (pid < 0)
        return -1;
    cst_fd_clear(&says);
    failure = failure_of(hears);
    if (!failure)
        return pid;
    (void)TEMP_FAILURE_RETRY(waitpid(pid, NULL, 0));
    errno = failure;
    return -1;
}

GPid child_launch(const Launch *how)
{
    g_autofree int *high = g_new(int, how->n_fds + 1);
    guint count = 0;
    GPid pid = -1;
    int failure;

    while (count < how->n_fds &&
           (high[count] = fcntl(how->fds[count], F_DUPFD_CLOEXEC, FIRST_FD + (int)how->n_fds)) >= 0)
        count++;
    if (count == how->n_fds)
        pid = start_with(how, high);
    failure = errno;
    while (count > 0)
        close(high[--count]);
    errno = failure;
    return pid;
}
