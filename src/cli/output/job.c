/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The running command as a job. A thread reports the progress to the service a few times a second.
 * The service replies whether the job was cancelled or limited. The thread has its own connection,
 * because calls of the command occupy the command's connection. Embedded, the service is in this
 * process, and both threads use one connection.
 *
 * The lock guards the fields that both threads use. The task is the current one of the working
 * thread. The work of earlier tasks counts as done.
 *
 * A job ends with its connection. After a restart of the daemon, the work may continue (a
 * repository is checked without a daemon). The job is then listed again under another number.
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
#include "report.h"

#define STEP_US  (200 * G_TIME_SPAN_MILLISECOND) /* between two progress reports */
#define BEGIN_US (200 * G_TIME_SPAN_MILLISECOND) /* work shorter than this is not listed */
#define ALONE_US (5 * G_TIME_SPAN_SECOND)        /* the checks have ended by then */
#define RETRY_US (2 * G_TIME_SPAN_SECOND)        /* between two attempts to list the job again */

struct CliJob {
    char *kind, *pool, *volume;
    uint64_t group;
    CstConn *shared;   /* the command's own connection if it is embedded; else NULL */
    const CstConn *as; /* the command's connection, which conn duplicates; NULL: use uri */
    char *uri;         /* if @as is NULL: the URI of conn */
    CstConnOptions options;
    CstConn *conn;  /* connection of the job's thread; NULL: not opened, or lost */
    int background; /* see cli_background_leave(); -1: the command stays in the foreground */
    CstFd report;
    GThread *thread;

    /* Used by the job's thread only: */
    gint64 began, tried;
    uint64_t handle, id; /* 0: not listed, or no longer listed */
    gboolean was_listed, given_up;

    GMutex lock; /* guards the fields below */
    GCond changed;
    gboolean over;
    gboolean at_once; /* the job is to be listed without a delay */
    gboolean tried_once;
    uint64_t number;    /* after the first attempt; 0: not listed */
    gint64 entered;     /* monotonic time when the task became the current one */
    CstTask *task;      /* NULL: between two tasks */
    CstProgress before; /* total of ended tasks */
    gboolean cancelled;
    uint64_t limit;  /* bytes per second; 0: unlimited */
    GError *refused; /* reason why the command cannot continue in the background */
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

/*
 * Called with the lock held. The total is unknown as long as that of the current task is unknown.
 */
static CstProgress job_sum_progress(const CliJob *job)
{
    CstProgress progress = cst_task_progress(job->task);

    progress.done += job->before.done;
    if (progress.total > 0 || !job->task)
        progress.total += job->before.total;
    return progress;
}

/* Called with the lock held. */
static void job_cancel_task(CliJob *job)
{
    job->cancelled = TRUE;
    cst_task_cancel(job->task);
}

/* --- the service ------------------------------------------------------------------------------ */

static CstConn *job_get_connection(CliJob *job, GError **error)
{
    if (job->shared)
        return job->shared;
    if (!job->conn)
        job->conn = job->as ? cst_conn_open_again(job->as, error)
                            : cst_conn_open(job->uri, &job->options, error);
    return job->conn;
}

static gboolean job_register_client(CliJob *job, GError **error)
{
    CstConnJob what = {.kind = job->kind, .pool = job->pool, .volume = job->volume};
    CstConn *conn = job_get_connection(job, error);

    what.group = job->group;
    g_mutex_lock(&job->lock);
    what.limit = job->limit;
    g_mutex_unlock(&job->lock);
    return conn && cst_conn_client_job_begin(conn, &what, &job->handle, &job->id, error);
}

/* Return: TRUE if the work has started, so that the checks of the command have passed. */
static gboolean is_under_way(CliJob *job)
{
    gboolean under_way;

    g_mutex_lock(&job->lock);
    under_way = job_sum_progress(job).done > 0 ||
                (job->task && g_get_monotonic_time() - job->entered > ALONE_US);
    g_mutex_unlock(&job->lock);
    return under_way;
}

static gboolean job_is_due(CliJob *job)
{
    gint64 now = g_get_monotonic_time();

    if (job->given_up)
        return FALSE;
    if (job->was_listed)
        return now - job->tried >= RETRY_US;
    return job->background >= 0 ? is_under_way(job) : now - job->began >= BEGIN_US;
}

/* Continue in the background, or cancel the command because of @why. */
static void job_detach_command(CliJob *job, const GError *why)
{
    if (!why) {
        cli_background_leave(job->background, job->report, job->id);
        job->background = -1;
        return;
    }
    g_mutex_lock(&job->lock);
    job->refused = g_error_copy(why);
    job_cancel_task(job);
    g_mutex_unlock(&job->lock);
}

/*
 * If the first attempt fails, do not try again: the service does not support such jobs, or has
 * reached its limit.
 */
static void try_list(CliJob *job)
{
    g_autoptr(GError) why = NULL;

    job->tried = g_get_monotonic_time();
    if (job_register_client(job, &why))
        job->was_listed = TRUE;
    else if (!job->was_listed)
        job->given_up = TRUE;
    else
        g_clear_pointer(&job->conn, cst_conn_free);
    if (job->background >= 0)
        job_detach_command(job, why);
}

static void job_report_progress(CliJob *job)
{
    CstConn *conn = job_get_connection(job, NULL);
    CstProgress progress;
    gboolean stop = FALSE;
    uint64_t limit = 0;

    g_mutex_lock(&job->lock);
    progress = job_sum_progress(job);
    g_mutex_unlock(&job->lock);
    if (!cst_conn_client_job_progress(conn, job->handle, progress, &stop, &limit, NULL)) {
        /* The job is listed again when the service is available. */
        job->id = 0;
        job->tried = g_get_monotonic_time();
        g_clear_pointer(&job->conn, cst_conn_free);
        return;
    }
    g_mutex_lock(&job->lock);
    if (stop)
        job_cancel_task(job);
    if (limit != job->limit)
        cst_task_set_rate(job->task, limit);
    job->limit = limit;
    g_mutex_unlock(&job->lock);
}

static gpointer job_reporter_thread(gpointer data)
{
    CliJob *job = data;

    g_mutex_lock(&job->lock);
    while (!job->over) {
        gboolean at_once;

        if (!job->at_once || job->tried_once)
            g_cond_wait_until(&job->changed, &job->lock, g_get_monotonic_time() + STEP_US);
        if (job->over)
            break;
        at_once = job->at_once && !job->tried_once;
        g_mutex_unlock(&job->lock);
        if (job->id)
            job_report_progress(job);
        else if (at_once || job_is_due(job))
            try_list(job);
        g_mutex_lock(&job->lock);
        if (at_once || job->was_listed) {
            job->tried_once = TRUE;
            job->number = job->id;
            g_cond_broadcast(&job->changed);
        }
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
 * Make calls over the command's own connection a part of the job. Fails if the service does not
 * support jobs of clients, or if the connection is read-only.
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

/* A file is replaced by the report. For a FIFO, open() waits for its reader. */
static gboolean open_report(CliCtl *ctl, CliJob *job, GError **error)
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
    cli_warn_of_exchange(ctl, &place);
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
    if (!join_group(ctl, job, &why) || (job->background >= 0 && !job_get_connection(job, &why))) {
        if (job->background < 0)
            return TRUE;
        g_propagate_prefixed_error(
            error, g_steal_pointer(&why), "%s",
            _("cannot run in the background, because the work must be listed as a job: "));
        return FALSE;
    }
    job->thread = g_thread_new("job", job_reporter_thread, job);
    ctl->job = g_steal_pointer(&job);
    return TRUE;
}

uint64_t cli_job_list_now(CliCtl *ctl)
{
    CliJob *job = ctl->job;
    uint64_t number;

    if (!job)
        return 0;
    g_mutex_lock(&job->lock);
    job->at_once = TRUE;
    g_cond_broadcast(&job->changed);
    while (!job->tried_once)
        g_cond_wait(&job->changed, &job->lock);
    number = job->number;
    g_mutex_unlock(&job->lock);
    return number;
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
    /* A program that waits for the end of the job must find the report complete. */
    fflush(ctl->out);
    if (job->id)
        job_report_progress(job);
    if (job->id)
        cst_conn_client_job_end(job_get_connection(job, NULL), job->handle, ok ? NULL : *error,
                                NULL);
    if (ctl->conn)
        cst_conn_set_job_group(ctl->conn, 0, NULL);
    if (ok || !job->refused)
        return ok;
    g_clear_error(error);
    g_propagate_error(error, g_steal_pointer(&job->refused));
    g_prefix_error(error, "%s",
                   _("cannot run in the background, because the work must be listed as a job: "));
    return FALSE;
}
