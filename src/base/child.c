/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/child.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

#define DEFAULT_OUTPUT_LIMIT (16u << 20)
#define STDERR_KEPT          (64u << 10)
#define POLL_STEP_MS         100
#define PATIENCE_US          G_TIME_SPAN_SECOND

void cst_child_result_clear(CstChildResult *result)
{
    g_clear_pointer(&result->out, g_free);
    g_clear_pointer(&result->err, g_free);
}

/* Its own process group; and what it makes is for nobody else, until we say so. */
static void set_up_child(gpointer data)
{
    setpgid(0, 0);
    umask(077);
}

static gboolean spawn(const CstChild *child, GPid *ret_pid, int *ret_out, int *ret_err,
                      GError **error)
{
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "LC_ALL", "C", TRUE);
    g_autoptr(GError) local = NULL;

    if (g_spawn_async_with_pipes(NULL, (char **)child->argv, env,
                                 G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                     G_SPAWN_CLOEXEC_PIPES,
                                 set_up_child, NULL, ret_pid, NULL, ret_out, ret_err, &local))
        return TRUE;
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("cannot run '%s': %s"), child->argv[0],
                    local->message);
}

/* Appends what @fd has; FALSE at its end. Bytes beyond @keep are dropped and counted. */
static gboolean drain(int fd, GString *into, size_t keep, gboolean *over)
{
    char buf[16384];
    ssize_t n = read(fd, buf, sizeof(buf));

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n == 0)
        return FALSE;
    if (into->len + (size_t)n > keep) {
        *over = TRUE;
        n = (ssize_t)(keep - into->len);
    }
    g_string_append_len(into, buf, n);
    return TRUE;
}

typedef struct {
    const CstChild *child;
    CstTask *task;
    gint64 deadline; /* monotonic microseconds, 0: none */
    GString *out, *err;
} Gathering;

static gboolean gather(Gathering *g, int out_fd, int err_fd, GError **error)
{
    struct pollfd fds[2] = {{.fd = out_fd, .events = POLLIN}, {.fd = err_fd, .events = POLLIN}};
    size_t limit = g->child->output_limit ? g->child->output_limit : DEFAULT_OUTPUT_LIMIT;
    gboolean over = FALSE, ignored = FALSE;

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (!cst_task_check(g->task, error))
            return FALSE;
        if (g->deadline && g_get_monotonic_time() > g->deadline)
            return cst_fail(error, CST_ERROR_TIMEOUT, _("'%s' did not finish in %u seconds"),
                            g->child->argv[0], g->child->timeout_s);
        if (poll(fds, 2, POLL_STEP_MS) < 0 && errno != EINTR)
            return cst_fail_errno(error, errno, _("cannot wait for '%s'"), g->child->argv[0]);
        if (fds[0].revents && !drain(out_fd, g->out, limit, &over))
            fds[0].fd = -1;
        if (fds[1].revents && !drain(err_fd, g->err, STDERR_KEPT, &ignored))
            fds[1].fd = -1;
        if (over)
            return cst_fail(error, CST_ERROR_LIMIT, _("'%s' printed more than %zu bytes"),
                            g->child->argv[0], limit);
    }
    return TRUE;
}

/* The pipes may close before the child ends (or a grandchild holds none): wait within the
 * limits. */
static gboolean reap(Gathering *g, GPid pid, int *ret_status, GError **error)
{
    for (;;) {
        pid_t done = waitpid(pid, ret_status, WNOHANG);

        if (done == pid)
            return TRUE;
        if (done < 0 && errno != EINTR)
            return cst_fail_errno(error, errno, _("cannot wait for '%s'"), g->child->argv[0]);
        if (!cst_task_check(g->task, error))
            return FALSE;
        if (g->deadline && g_get_monotonic_time() > g->deadline)
            return cst_fail(error, CST_ERROR_TIMEOUT, _("'%s' did not finish in %u seconds"),
                            g->child->argv[0], g->child->timeout_s);
        g_usleep(1000);
    }
}

static gpointer wait_for_end(gpointer data)
{
    int status;

    while (waitpid(GPOINTER_TO_INT(data), &status, 0) < 0 && errno == EINTR)
        ;
    return NULL;
}

/* A killed child that hangs in the kernel (a disk that does not answer) ends when it ends. */
static void bury(GPid pid)
{
    GThread *reaper;
    int status;

    for (gint64 end = g_get_monotonic_time() + PATIENCE_US; g_get_monotonic_time() < end;) {
        if (waitpid(pid, &status, WNOHANG) != 0)
            return;
        g_usleep(1000);
    }
    /* Without a thread to be had it stays a zombie until we end, which harms nobody. */
    reaper = g_thread_try_new("reaper", wait_for_end, GINT_TO_POINTER(pid), NULL);
    if (reaper)
        g_thread_unref(reaper);
}

gboolean cst_child_run(const CstChild *child, CstTask *task, CstChildResult *ret_result,
                       GError **error)
{
    g_auto(CstFd) out_fd = -1, err_fd = -1;
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GString) err = g_string_new(NULL);
    Gathering g = {.child = child, .task = task, .out = out, .err = err};
    GPid pid;
    int status;

    if (!spawn(child, &pid, &out_fd, &err_fd, error))
        return FALSE;
    if (child->timeout_s)
        g.deadline = g_get_monotonic_time() + child->timeout_s * G_TIME_SPAN_SECOND;
    if (!gather(&g, out_fd, err_fd, error) || !reap(&g, pid, &status, error)) {
        kill(-pid, SIGKILL);
        bury(pid);
        return FALSE;
    }
    ret_result->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    ret_result->out = g_strdup(out->str);
    ret_result->err = g_strdup(err->str);
    return TRUE;
}
