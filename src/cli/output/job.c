/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command as a job. A thread tells the service how far the work is, a few times a second, and
 * is told whether the job was cancelled or limited. It has a connection of its own: the command's
 * is busy with what the job is about. Embedded, the service is in this process and both use it.
 *
 * The lock guards what both threads use of the job. The task is the working thread's current one;
 * what its predecessors did counts as done.
 *
 * A job ends with its connection. When the daemon is restarted, the work may go on nevertheless (a
 * repository is checked without a daemon): it is listed anew then, under another number.
 */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/place.h>
#include <conn/client_jobs.h>

#include "core/background.h"

#define STEP_US  (200 * G_TIME_SPAN_MILLISECOND) /* between two words with the service */
#define BEGIN_US (200 * G_TIME_SPAN_MILLISECOND) /* work shorter than this is not listed */
#define ALONE_US (5 * G_TIME_SPAN_SECOND)        /* then the checks are over, whatever is moved */
#define RETRY_US (2 * G_TIME_SPAN_SECOND)        /* between two beginnings anew */

struct CliJob {
    char *kind, *pool, *volume;
    uint64_t group;
    CstConn *shared;   /* the command's own connection where that is embedded; else NULL */
    const CstConn *as; /* the command's, of which ours is to be another one; NULL: none */
    char *uri;         /* where there is none: what to connect to */
    CstConnOptions options;
    CstConn *conn;  /* the thread's own; NULL: none, or lost */
    int background; /* see cli_background_leave(); -1: the command does not go on alone */
    CstFd report;
    GThread *thread;

    /* The thread's: */
    gint64 began, tried;
    uint64_t handle, id; /* 0: not listed, or no longer */
    gboolean was_listed, given_up;

    GMutex lock; /* guards what follows */
    GCond changed;
    gboolean over;
    gint64 entered;     /* monotonic; when the task became the current one */
    CstTask *task;      /* NULL: between two */
    CstProgress before; /* of tasks that have ended */
    gboolean cancelled;
    uint64_t limit;  /* bytes a second; 0: none */
    GError *refused; /* why the command can't go on alone */
};

/* --- the work --------------------------------------------------------------------------------- */

void cli_job_enter(CliCtl *ctl, CstTask *task)
{
    CliJob *job = ctl->job;

    if (!job)
        return;
    g_mutex_lock(&job->lock);
    job->task = cst_task_ref(task);
    job->entered = g_get_monotonic_time();
    if (job->cancelled)
        cst_task_cancel(task);
    cst_task_set_rate(task, job->limit);
    g_mutex_unlock(&job->lock);
}

void cli_job_leave(CliCtl *ctl)
{
    CliJob *job = ctl->job;
    CstProgress progress;

    if (!job)
        return;
    g_mutex_lock(&job->lock);
    progress = cst_task_progress(job->task);
    job->before.done += progress.done;
    job->before.total += MAX(progress.total, progress.done);
    g_clear_pointer(&job->task, cst_task_unref);
    g_mutex_unlock(&job->lock);
}

/* With the lock held. Unknown as long as that of the current task is. */
static CstProgress sum(const CliJob *job)
{
    CstProgress progress = cst_task_progress(job->task);

    progress.done += job->before.done;
    if (progress.total > 0 || !job->task)
        progress.total += job->before.total;
    return progress;
}

/* With the lock held. */
static void cancel(CliJob *job)
{
    job->cancelled = TRUE;
    cst_task_cancel(job->task);
}

/* --- the service ------------------------------------------------------------------------------ */

static CstConn *connection(CliJob *job, GError **error)
{
    if (job->shared)
        return job->shared;
    if (!job->conn)
        job->conn = job->as ? cst_conn_open_again(job->as, error)
                            : cst_conn_open(job->uri, &job->options, error);
    return job->conn;
}

static gboolean list(CliJob *job, GError **error)
{
    CstConnJob what = {.kind = job->kind, .pool = job->pool, .volume = job->volume};
    CstConn *conn = connection(job, error);

    what.group = job->group;
    g_mutex_lock(&job->lock);
    what.limit = job->limit;
    g_mutex_unlock(&job->lock);
    return conn && cst_conn_client_job_begin(conn, &what, &job->handle, &job->id, error);
}

/* Whether the work is under way: what is wrong with the command would have been found. */
static gboolean is_under_way(CliJob *job)
{
    gboolean under_way;

    g_mutex_lock(&job->lock);
    under_way =
        sum(job).done > 0 || (job->task && g_get_monotonic_time() - job->entered > ALONE_US);
    g_mutex_unlock(&job->lock);
    return under_way;
}

static gboolean is_due(CliJob *job)
{
    gint64 now = g_get_monotonic_time();

    if (job->given_up)
        return FALSE;
    if (job->was_listed)
        return now - job->tried >= RETRY_US;
    return job->background >= 0 ? is_under_way(job) : now - job->began >= BEGIN_US;
}

/* The command goes on alone, or ends because it can't. */
static void detach(CliJob *job, const GError *why)
{
    if (!why) {
        cli_background_leave(job->background, job->report, job->id);
        job->background = -1;
        return;
    }
    g_mutex_lock(&job->lock);
    job->refused = g_error_copy(why);
    cancel(job);
    g_mutex_unlock(&job->lock);
}

/* A first time that fails is the last one: the service takes no such jobs, or no more. */
static void try_list(CliJob *job)
{
    g_autoptr(GError) why = NULL;

    job->tried = g_get_monotonic_time();
    if (list(job, &why))
        job->was_listed = TRUE;
    else if (!job->was_listed)
        job->given_up = TRUE;
    else
        g_clear_pointer(&job->conn, cst_conn_free);
    if (job->background >= 0)
        detach(job, why);
}

static void tell(CliJob *job)
{
    CstConn *conn = connection(job, NULL);
    CstProgress progress;
    gboolean stop = FALSE;
    uint64_t limit = 0;

    g_mutex_lock(&job->lock);
    progress = sum(job);
    g_mutex_unlock(&job->lock);
    if (!cst_conn_client_job_progress(conn, job->handle, progress, &stop, &limit, NULL)) {
        /* It is listed anew when the service is back. */
        job->id = 0;
        job->tried = g_get_monotonic_time();
        g_clear_pointer(&job->conn, cst_conn_free);
        return;
    }
    g_mutex_lock(&job->lock);
    if (stop)
        cancel(job);
    if (limit != job->limit)
        cst_task_set_rate(job->task, limit);
    job->limit = limit;
    g_mutex_unlock(&job->lock);
}

static gpointer run(gpointer data)
{
    CliJob *job = data;

    g_mutex_lock(&job->lock);
    while (!job->over) {
        g_cond_wait_until(&job->changed, &job->lock, g_get_monotonic_time() + STEP_US);
        if (job->over)
            break;
        g_mutex_unlock(&job->lock);
        if (job->id)
            tell(job);
        else if (is_due(job))
            try_list(job);
        g_mutex_lock(&job->lock);
    }
    g_mutex_unlock(&job->lock);
    return NULL;
}

/* --- beginning and end ------------------------------------------------------------------------ */

static void job_free(CliJob *job)
{
    g_clear_pointer(&job->conn, cst_conn_free);
    cst_fd_clear(&job->report);
    g_clear_error(&job->refused);
    g_mutex_clear(&job->lock);
    g_cond_clear(&job->changed);
    g_free(job->uri);
    g_free(job->kind);
    g_free(job->pool);
    g_free(job->volume);
    g_free(job);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliJob, job_free)

static CliJob *job_new(const CliCtl *ctl, const char *kind, const char *pool, const char *volume)
{
    CliJob *job = g_new0(CliJob, 1);

    g_mutex_init(&job->lock);
    g_cond_init(&job->changed);
    job->kind = g_strdup(kind);
    job->pool = g_strdup(pool);
    job->volume = g_strdup(volume);
    job->report = -1;
    job->background = ctl->background;
    job->began = g_get_monotonic_time();
    if (ctl->conn && cst_conn_is_embedded(ctl->conn))
        job->shared = ctl->conn;
    else if (ctl->conn)
        job->as = ctl->conn;
    job->uri = g_strdup(ctl->connected_uri);
    job->options = (CstConnOptions){.root = ctl->settings.root,
                                    .default_uri = ctl->config.uri,
                                    .read_only = ctl->settings.read_only,
                                    .embedded = ctl->settings.embedded,
                                    .must_exist = TRUE,
                                    .unattended = TRUE};
    return job;
}

/*
 * What the command calls over its own connection is a part of the job. Fails where the service has
 * no jobs of clients, or the connection may change nothing.
 */
static gboolean join_group(const CliCtl *ctl, CliJob *job, GError **error)
{
    if (getrandom(&job->group, sizeof(job->group), 0) != sizeof(job->group))
        return cst_fail_errno(error, errno, "%s", _("cannot draw a random number"));
    return !ctl->conn || cst_conn_set_job_group(ctl->conn, job->group, error);
}

gboolean cli_job_check(const CliArgs *args, GError **error)
{
    const char *path;

    if (!cli_args_string(args, "report", &path, error))
        return FALSE;
    return !path || cli_args_has(args, "detach") ||
           cst_fail(error, CST_ERROR_USAGE, _("--%s goes with --%s only"), "report", "detach");
}

/* A file is replaced by the report; a FIFO has its reader waited for. */
static gboolean open_report(const CliCtl *ctl, CliJob *job, GError **error)
{
    g_auto(CstPlace) place = CST_PLACE_INIT;
    gboolean created;
    struct stat st;
    const char *path;

    if (!cli_args_string(ctl->current, "report", &path, error))
        return FALSE;
    if (!path)
        return TRUE;
    if (!cst_place_init(&place, path, error))
        return FALSE;
    job->report = cst_place_open_output(&place, 0600, &created, error);
    if (job->report < 0)
        return FALSE;
    return (fstat(job->report, &st) == 0 &&
            (!S_ISREG(st.st_mode) || ftruncate(job->report, 0) == 0)) ||
           cst_fail_errno(error, errno, _("cannot write '%s'"), path);
}

gboolean cli_job_begin(CliCtl *ctl, const char *kind, const char *pool, const char *volume,
                       GError **error)
{
    g_autoptr(CliJob) job = job_new(ctl, kind, pool, volume);
    g_autoptr(GError) why = NULL;

    if (ctl->settings.dry_run)
        return TRUE;
    if (!cli_args_size(ctl->current, "rate-limit", 1, &job->limit, error) ||
        !open_report(ctl, job, error))
        return FALSE;
    if (!join_group(ctl, job, &why) || (job->background >= 0 && !connection(job, &why))) {
        if (job->background < 0)
            return TRUE;
        g_propagate_prefixed_error(error, g_steal_pointer(&why), "%s",
                                   _("what goes on in the background has to be listed as a job: "));
        return FALSE;
    }
    job->thread = g_thread_new("job", run, job);
    ctl->job = g_steal_pointer(&job);
    return TRUE;
}

gboolean cli_job_end(CliCtl *ctl, gboolean ok, GError **error)
{
    g_autoptr(CliJob) job = g_steal_pointer(&ctl->job);

    if (!job)
        return ok;
    g_mutex_lock(&job->lock);
    job->over = TRUE;
    g_cond_signal(&job->changed);
    g_mutex_unlock(&job->lock);
    g_thread_join(job->thread);
    /* Who waits for the end of the job finds the report complete. */
    fflush(ctl->out);
    if (job->id)
        tell(job);
    if (job->id)
        cst_conn_client_job_end(connection(job, NULL), job->handle, ok ? NULL : *error, NULL);
    if (ctl->conn)
        cst_conn_set_job_group(ctl->conn, 0, NULL);
    if (ok || !job->refused)
        return ok;
    g_clear_error(error);
    g_propagate_error(error, g_steal_pointer(&job->refused));
    g_prefix_error(error, "%s", _("what goes on in the background has to be listed as a job: "));
    return FALSE;
}
