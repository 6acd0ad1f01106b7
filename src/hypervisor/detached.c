/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that outlive their caller (see the header). Such a process forks and its parent exits,
 * so that init reaps it: the caller may end first, or may no longer be interested. So the daemon
 * needs no thread that waits for it. Its own session and the ignored signals protect it from the
 * signals of a terminal and of a service manager.
 */
#include "detached.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/child.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#include "connection.h"

#define TASK_POLL_MS 100 /* for a cancelled task */
#define LATE_REST_MS 2000

gboolean detached_start(const char *const *argv, const int *fds, guint n_fds, GError **error)
{
    const CstChild child = {
        .argv = argv, .timeout_s = HYPERVISOR_START_S, .fds = fds, .n_fds = n_fds};
    g_auto(CstChildResult) result = {0};

    if (!cst_child_run(&child, NULL, &result, error))
        return FALSE;
    return result.status == 0 ||
           cst_fail(error, CST_ERROR_FAILED, _("the process \"%s %s\" ended with status %d"),
                    argv[0], argv[1], result.status);
}

int detached_connect(const char *const *argv, int dirfd, GError **error)
{
    g_auto(CstFd) ours = -1, theirs = -1;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        cst_fail_errno(error, errno, "%s", _("cannot create a socket"));
        return -1;
    }
    ours = ends[0];
    theirs = ends[1];
    return detached_start(argv, (const int[]){dirfd, theirs}, 2, error) ? g_steal_fd(&ours) : -1;
}

gboolean detached_await(int fd, CstTask *task, unsigned limit_ms, GError **error)
{
    gint64 until = g_get_monotonic_time() + limit_ms * G_TIME_SPAN_MILLISECOND;
    struct pollfd event = {.fd = fd, .events = POLLIN};

    while (poll(&event, 1, TASK_POLL_MS) <= 0)
        if (!cst_task_check(task, error) || g_get_monotonic_time() >= until)
            return FALSE;
    return TRUE;
}

/* Ignored are the signals of a terminal, of a service manager, and of a socket without a peer. */
static void process_detach(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    for (guint i = 0; i < G_N_ELEMENTS(ignored); i++)
        signal(ignored[i], SIG_IGN);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (null < 0 || dup2(null, fd) < 0)
            _exit(EXIT_FAILURE);
    close(null);
    if (chdir("/") < 0)
        _exit(EXIT_FAILURE);
}

/* A process of this module may have executed this program in the handler of a signal. */
void detached_fork(int last_fd, gboolean repairs)
{
    sigset_t none;
    pid_t pid;

    alarm(0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close_range((unsigned)last_fd + 1, ~0U, 0);
    pid = fork();
    if (pid > 0)
        _exit(EXIT_SUCCESS);
    if (pid < 0 && !repairs)
        _exit(EXIT_FAILURE);
    process_detach();
}

void detached_rest(unsigned round, unsigned retry_ms, unsigned max_ms, gint64 late_until)
{
    unsigned rest_ms = 0;

    for (unsigned i = 1; i < round && rest_ms < max_ms; i++)
        rest_ms = rest_ms ? 2 * rest_ms : retry_ms;
    rest_ms = MIN(rest_ms, max_ms);
    if (g_get_monotonic_time() < late_until)
        rest_ms = MIN(rest_ms, LATE_REST_MS);
    poll(NULL, 0, (int)rest_ms);
}

char *detached_limits_format(const unsigned *limits, guint count)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < count; i++)
        g_string_append_printf(text, "%s%u", i > 0 ? "," : "", limits[i]);
    return g_string_free(text, FALSE);
}

gboolean detached_limits_parse(const char *text, unsigned *ret_limits, guint count)
{
    g_auto(GStrv) words = g_strsplit(text, ",", (int)count + 1);

    if (g_strv_length(words) != count)
        return FALSE;
    for (guint i = 0; i < count; i++) {
        guint64 number;

        if (!g_ascii_string_to_unsigned(words[i], 10, 0, G_MAXINT, &number, NULL))
            return FALSE;
        ret_limits[i] = (unsigned)number;
    }
    return TRUE;
}
