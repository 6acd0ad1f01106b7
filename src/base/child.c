/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs an external program (see the header). The calling thread polls the child's two pipes and a
 * pidfd, which is readable when the child has ended, so it wakes up only for an event. A task is
 * the exception: cst_task_cancel() may be called in a signal handler and wakes no thread, so the
 * task is checked every POLL_STEP_MS.
 *
 * On timeout, cancellation or too much output the whole process group is killed. A killed child may
 * still hang in the kernel. Then a thread waits for it, and the call returns.
 *
 * Input is a file in memory, not a pipe, so a child that does not read it neither blocks nor fails
 * the caller.
 *
 * GSubprocess is not used, because it reads without a limit, has neither timeouts nor process
 * groups, and reaps in the main context of the calling thread. The daemon's workers have no main
 * context.
 */
#include <base/child.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>

#include "launch.h"

#define DEFAULT_OUTPUT_LIMIT (16u << 20)
#define STDERR_KEPT          (64u << 10)
#define STREAM_PART          (256u << 10) /* bytes of a stream that are read at once */
#define STREAM_PIPE          (1 << 20)
#define POLL_STEP_MS         100  /* between two checks of the task */
#define PATIENCE_MS          1000 /* for a killed child to end */

void cst_child_result_clear(CstChildResult *result)
{
    g_clear_pointer(&result->out, g_free);
    g_clear_pointer(&result->err, g_free);
}

typedef struct {
    const CstChild *child;
    CstTask *task;
    gint64 deadline; /* monotonic microseconds; 0: no deadline */
    gint64 silent;   /* the same, for the next part of a stream */
    GPid pid;
    CstFd pid_fd, out_fd, err_fd;
    GString *out, *err;
    char *part;      /* buffer for a part of a stream */
    gboolean enough; /* the rest of the stream is not needed */
} Running;

static void running_clear(Running *run)
{
    cst_fd_clear(&run->pid_fd);
    cst_fd_clear(&run->out_fd);
    cst_fd_clear(&run->err_fd);
    if (run->out)
        g_string_free(run->out, TRUE);
    if (run->err)
        g_string_free(run->err, TRUE);
    g_free(run->part);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Running, running_clear)

/* LC_ALL=C, because output is parsed and must be the same in every locale. */
static GStrv child_environment(const CstChild *child)
{
    const char *path = child->search_path ? child->search_path : g_getenv("PATH");
    GStrv env = child->confine ? g_new0(char *, 1) : g_get_environ();

    if (path)
        env = g_environ_setenv(env, "PATH", path, TRUE);
    return g_environ_setenv(env, "LC_ALL", "C", TRUE);
}

/* Opens the stdin of the child: *ret_fd, which is closed on exec. */
static gboolean open_input(const CstChild *child, int *ret_fd, GError **error)
{
    g_auto(CstFd) fd =
        child->input ? memfd_create("input", MFD_CLOEXEC) : open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return cst_fail_errno(error, errno, _("cannot give '%s' its input"), child->argv[0]);
    if (child->input &&
        !cst_pwrite_full(fd, child->input, child->input_len, 0, child->argv[0], error))
        return FALSE;
    *ret_fd = g_steal_fd(&fd);
    return TRUE;
}

/* Waits for the end of the child. Returns its wait status. */
static int child_reap(GPid pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static gboolean fail_to_run(const char *program, CstErrorCode code, GError **error)
{
    return cst_fail(error, code, _("cannot run '%s': %s"), program, g_strerror(errno));
}

static gboolean make_pipe(int *ret_ours, int *ret_theirs, const char *program, GError **error)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return fail_to_run(program, CST_ERROR_FAILED, error);
    *ret_ours = ends[0];
    *ret_theirs = ends[1];
    return TRUE;
}

static gboolean child_spawn(Running *run, GError **error)
{
    const char *program = run->child->argv[0];
    g_auto(GStrv) env = child_environment(run->child);
    g_auto(CstFd) in = -1, out = -1, err = -1;

    if (!open_input(run->child, &in, error) || !make_pipe(&run->out_fd, &out, program, error) ||
        !make_pipe(&run->err_fd, &err, program, error))
        return FALSE;
    run->pid = child_launch(&(Launch){.argv = run->child->argv,
                                      .env = (const char *const *)env,
                                      .in = in,
                                      .out = out,
                                      .err = err,
                                      .fds = run->child->fds,
                                      .n_fds = run->child->n_fds,
                                      .confine = run->child->confine,
                                      .ends_with = run->child->ends_with_us ? getpid() : 0});
    if (run->pid < 0)
        return fail_to_run(program, CST_ERROR_NOT_FOUND, error);
    run->out = g_string_new(NULL);
    run->err = g_string_new(NULL);
    return TRUE;
}

/*
 * Appends the available bytes of @fd to @into. Returns FALSE at the end of @fd. Bytes beyond @keep
 * are read and dropped, so that the child does not block on a full pipe, and *@over is set.
 */
static gboolean pipe_drain(int fd, GString *into, size_t keep, gboolean *over)
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

/* --- streams --------------------------------------------------------------------------------- */

static void expect_part(Running *run)
{
    const CstChildStream *stream = run->child->stream;

    if (stream && stream->silence_s)
        run->silent = g_get_monotonic_time() + stream->silence_s * G_TIME_SPAN_SECOND;
}

/*
 * Uses a larger pipe, which wakes this process up less often. If the kernel refuses it, the default
 * size is kept.
 */
static void begin_stream(Running *run)
{
    if (!run->child->stream)
        return;
    run->part = g_malloc(STREAM_PART);
    fcntl(run->out_fd, F_SETPIPE_SZ, STREAM_PIPE);
    expect_part(run);
}

/* Passes the next part to the consumer. Sets *@ret_end at the end of the stream. */
static gboolean take_part(Running *run, gboolean *ret_end, GError **error)
{
    const CstChildStream *stream = run->child->stream;
    ssize_t n = read(run->out_fd, run->part, STREAM_PART);

    expect_part(run);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return TRUE;
    if (n < 0)
        return cst_fail_errno(error, errno, _("cannot read the output of '%s'"),
                              run->child->argv[0]);
    *ret_end = n == 0;
    return n == 0 || stream->take(run->part, (size_t)n, stream->data, &run->enough, error);
}

/* Reads the available output of the child. Sets *@ret_end at its end. */
static gboolean take_output(Running *run, gboolean *ret_end, GError **error)
{
    size_t limit = run->child->output_limit ? run->child->output_limit : DEFAULT_OUTPUT_LIMIT;
    gboolean over = FALSE;

    if (run->child->stream)
        return take_part(run, ret_end, error);
    *ret_end = !pipe_drain(run->out_fd, run->out, limit, &over);
    return !over || cst_fail(error, CST_ERROR_LIMIT, _("'%s' printed more than %zu bytes"),
                             run->child->argv[0], limit);
}

static gboolean seen_enough(Running *run)
{
    const CstChildStream *stream = run->child->stream;

    run->enough = run->enough || (stream && stream->enough && stream->enough(stream->data));
    return run->enough;
}

/* --- to the end ------------------------------------------------------------------------------ */

/* Returns the earlier one of two points in time. 0 means that the time is not set. */
static gint64 earlier_time(gint64 a, gint64 b)
{
    return !a || (b && b < a) ? b : a;
}

/* Returns the milliseconds until the task or the clock must be checked; -1: never. */
static int longest_poll(const Running *run)
{
    gint64 end = earlier_time(run->deadline, run->silent);

    if (run->task || (run->child->stream && run->child->stream->enough))
        return POLL_STEP_MS;
    return end ? (int)CLAMP((end - g_get_monotonic_time()) / 1000 + 1, 0, G_MAXINT) : -1;
}

static gboolean may_go_on(const Running *run, GError **error)
{
    if (!cst_task_check(run->task, error))
        return FALSE;
    if (run->deadline && g_get_monotonic_time() > run->deadline)
        return cst_fail(error, CST_ERROR_TIMEOUT, _("'%s' did not finish in %u seconds"),
                        run->child->argv[0], run->child->timeout_s);
    if (run->silent && g_get_monotonic_time() > run->silent)
        return cst_fail(error, CST_ERROR_TIMEOUT, _("'%s' printed no output for %u seconds"),
                        run->child->argv[0], run->child->stream->silence_s);
    return TRUE;
}

/*
 * Collects the output until the child has ended and all ends of the pipes are closed. Either may
 * come first: a child can close its output and continue, or leave a grandchild that writes.
 */
static gboolean output_gather(Running *run, GError **error)
{
    enum { OUT, ERR, END, FDS };
    struct pollfd fds[FDS] = {[OUT] = {.fd = run->out_fd, .events = POLLIN},
                              [ERR] = {.fd = run->err_fd, .events = POLLIN},
                              [END] = {.fd = run->pid_fd, .events = POLLIN}};
    gboolean ended = FALSE, ignored = FALSE;

    begin_stream(run);
    while (fds[OUT].fd >= 0 || fds[ERR].fd >= 0 || fds[END].fd >= 0) {
        if (!may_go_on(run, error))
            return FALSE;
        if (seen_enough(run))
            return TRUE;
        CST_TEST_POINT("child.run.wait");
        if (poll(fds, FDS, longest_poll(run)) < 0) {
            if (errno == EINTR)
                continue;
            return cst_fail_errno(error, errno, _("cannot wait for '%s'"), run->child->argv[0]);
        }
        if (fds[OUT].revents && !take_output(run, &ended, error))
            return FALSE;
        if (ended)
            fds[OUT].fd = -1;
        if (fds[ERR].revents && !pipe_drain(run->err_fd, run->err, STDERR_KEPT, &ignored))
            fds[ERR].fd = -1;
        if (fds[END].revents)
            fds[END].fd = -1;
    }
    return TRUE;
}

static gpointer reap_late(gpointer pid)
{
    child_reap(GPOINTER_TO_INT(pid));
    return NULL;
}

/*
 * Reaps a killed child. A child that hangs in the kernel (a disk that does not answer) may end much
 * later, so a separate thread waits for it.
 */
static void child_reap_killed(const Running *run)
{
    struct pollfd end = {.fd = run->pid_fd, .events = POLLIN};
    GThread *reaper;

    if (poll(&end, 1, PATIENCE_MS) > 0) {
        child_reap(run->pid);
        return;
    }
    /* Without a thread the child remains a zombie until this process ends, which does no harm. */
    reaper = g_thread_try_new("reaper", reap_late, GINT_TO_POINTER(run->pid), NULL);
    if (reaper)
        g_thread_unref(reaper);
}

/* Waits for the end of the child that was started. Returns FALSE if it must be killed. */
static gboolean run_to_end(Running *run, GError **error)
{
    if (run->child->timeout_s)
        run->deadline = g_get_monotonic_time() + run->child->timeout_s * G_TIME_SPAN_SECOND;
    run->pid_fd = pidfd_open(run->pid, 0);
    if (run->pid_fd < 0)
        return cst_fail_errno(error, errno, _("cannot wait for '%s'"), run->child->argv[0]);
    return output_gather(run, error);
}

static gboolean run_child(const CstChild *child, CstTask *task, CstChildResult *ret_result,
                          GError **error)
{
    g_auto(Running) run = {.child = child, .task = task, .pid_fd = -1, .out_fd = -1, .err_fd = -1};
    gboolean done;
    int status = 0;

    if (!child_spawn(&run, error))
        return FALSE;
    done = run_to_end(&run, error);
    if (!done || run.enough) {
        /* The whole group, including helpers of the program. */
        kill(-run.pid, SIGKILL);
        child_reap_killed(&run);
    } else {
        status = child_reap(run.pid);
    }
    if (!done)
        return FALSE;
    ret_result->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    ret_result->out = g_string_free(g_steal_pointer(&run.out), FALSE);
    ret_result->err = g_string_free(g_steal_pointer(&run.err), FALSE);
    return TRUE;
}

/* --- the log --------------------------------------------------------------------------------- */

static void log_begin(const CstChild *child)
{
    g_autofree char *command = g_strjoinv(" ", (char **)child->argv);

    cst_log(CST_LOG_DEBUG, "runs: %s", command);
}

/* @error: the reason why the child was not started or was killed; NULL: it ended, with @result. */
static void log_end(const CstChild *child, gint64 began, const CstChildResult *result,
                    const GError *error)
{
    double ms = (double)(g_get_monotonic_time() - began) / 1000;

    if (error)
        cst_log(CST_LOG_DEBUG, "%s failed after %.1f ms: %s", child->argv[0], ms, error->message);
    else
        cst_log(CST_LOG_DEBUG, "%s ended after %.1f ms with status %d", child->argv[0], ms,
                result->status);
}

gboolean cst_child_run(const CstChild *child, CstTask *task, CstChildResult *ret_result,
                       GError **error)
{
    g_autoptr(GError) local = NULL;
    gboolean ok;
    gint64 began;

    if (!cst_log_enabled(CST_LOG_DEBUG))
        return run_child(child, task, ret_result, error);
    began = g_get_monotonic_time();
    log_begin(child);
    ok = run_child(child, task, ret_result, &local);
    log_end(child, began, ret_result, local);
    if (local)
        g_propagate_error(error, g_steal_pointer(&local));
    return ok;
}
