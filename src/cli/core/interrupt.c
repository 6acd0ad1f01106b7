/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SIGINT and SIGTERM during long work. The handler sets flags, cancels the task and writes to a
 * pipe, which are all async-signal-safe. A second signal restores the default action and is raised
 * again. Signals are caught only between begin and end. Calls of begin nest; the last end restores
 * the former handlers.
 *
 * State is static, because handlers have no context. It belongs to the thread that calls begin and
 * end. The kernel may deliver a signal to another thread, which passes it on.
 */
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define WAKE_SIGNAL SIGURG /* ignored by default, so that a late one is harmless */

/* A signal handler has access to static variables only. */
static volatile sig_atomic_t interrupted; /* number of the signal; 0: not interrupted */
static CstTask *volatile task_to_cancel;
static unsigned begun;  /* nesting depth */
static pthread_t owner; /* the thread that calls begin; set before a handler is installed */
static int wake_pipe[2] = {-1, -1};
static struct sigaction old_int;
static struct sigaction old_term;
static struct sigaction old_wake;

static void on_signal(int number)
{
    int saved = errno;

    if (!pthread_equal(pthread_self(), owner)) {
        pthread_kill(owner, number);
        return;
    }
    if (interrupted) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    interrupted = number;
    if (task_to_cancel)
        cst_task_cancel(task_to_cancel);
    if (write(wake_pipe[1], "!", 1) < 0) {
        /* The pipe is full, so it is already readable. */
    }
    errno = saved;
}

/* Installed without SA_RESTART, so that a blocking call fails with EINTR. */
static void on_wake(int number)
{
}

void cli_interrupt_begin(void)
{
    const struct sigaction wake = {.sa_handler = on_wake};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    if (begun++ > 0)
        return;
    if (wake_pipe[0] < 0 && pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        wake_pipe[0] = -1;
    owner = pthread_self();
    interrupted = 0;
    /* The raise() in the handler must take effect while the handler runs. */
    action.sa_flags |= SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &old_int);
    sigaction(SIGTERM, &action, &old_term);
    sigaction(WAKE_SIGNAL, &wake, &old_wake);
}

void cli_interrupt_begin_task(CstTask *task)
{
    cli_interrupt_begin();
    task_to_cancel = task;
    if (interrupted)
        cst_task_cancel(task);
}

void cli_interrupt_end(void)
{
    char drop[16];

    task_to_cancel = NULL;
    if (--begun > 0)
        return;
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    sigaction(WAKE_SIGNAL, &old_wake, NULL);
    while (wake_pipe[0] >= 0 && read(wake_pipe[0], drop, sizeof(drop)) > 0)
        continue;
}

gboolean cli_interrupted(void)
{
    return interrupted != 0;
}

int cli_interrupt_status(void)
{
    return interrupted ? CLI_EXIT_SIGNAL + interrupted : 0;
}

int cli_interrupt_fd(void)
{
    return wake_pipe[0];
}

void cli_interrupt_wake(pthread_t thread)
{
    pthread_kill(thread, WAKE_SIGNAL);
}
