/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Jobs. To begin one costs an entry in a table; only when it lasts does it get a file that other
 * processes see (store/job_files.h). One thread per process wakes up every TICK_US, publishes the
 * jobs that are older than PUBLISH_AFTER_US, writes the progress of all published ones into their
 * files and takes over what was requested there: to cancel, to limit the rate. It sleeps while
 * there is no job.
 *
 * The caller of job_begin() owns the job until job_end(). The publishing thread takes references,
 * and the entry's flag "ended" keeps it from writing a file whose end has been written.
 *
 * The lock of Jobs guards the tables, the lock of an entry its record and its file. The first is
 * not held while a file is written, so that a slow disk delays no beginning of a job.
 *
 * When the process is asked to stop, all tasks are cancelled. A job that ends for that reason, and
 * not because somebody has cancelled it, is reported as interrupted; its file is left for the next
 * daemon if it may be resumed (recovery/resume.c).
 */
#include "job.h"

#include <base/error_class.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/log_context.h>
#include <store/job_files.h>

#include "job_kind.h"
#include "pool.h"
#include "service.h"

#define TICK_US          (100 * G_TIME_SPAN_MILLISECOND)
#define PUBLISH_AFTER_US (200 * G_TIME_SPAN_MILLISECOND)
#define IDLE_TICKS       10 /* without a job, before the thread goes to sleep */
#define RATE_SPAN_US     (3 * G_TIME_SPAN_SECOND) /* that a rate is smoothed over */
#define LATE_US          (2 * G_TIME_SPAN_SECOND) /* that the end in a job's file may be early */

struct Jobs {
    CstPaths *paths; /* borrowed */
    gboolean daemon;
    gint stopping; /* atomic */
    GMutex lock;   /* guards what follows; held for moments only */
    GCond cond;
    GHashTable *running; /* of JobEntry *, borrowed */
    GHashTable *adopted; /* CstTask * to the JobEntry * of a dead process, until it is begun */
    GThread *thread;     /* NULL until the first job */
    gboolean asleep;
    gboolean stop;
    gboolean failed; /* a job could not be published; only the first failure is logged */
};

struct JobEntry {
    gint refs;
    Jobs *jobs;
    CstTask *task;
    gint64 began;      /* monotonic */
    gint64 left;       /* resumed: when its process had ended; else 0 */
    gint64 taken_up;   /* the same: when this process found it; both in microseconds since 1970 */
    CstLogContext log; /* of whoever began it; for the thread that publishes */

    GMutex lock; /* guards what follows; held while its file is written */
    CstJobInfo info;
    CstJobFile *file; /* NULL: not published */
    gboolean ended;
    gboolean cancel_requested; /* through the file */
    gint64 measured;           /* monotonic; when info.done was what it is */
    uint64_t asked;            /* the last rate limit taken from the file */
};

static JobEntry *entry_ref(JobEntry *entry)
{
    g_atomic_int_inc(&entry->refs);
    return entry;
}

static void entry_unref(JobEntry *entry)
{
    if (!g_atomic_int_dec_and_test(&entry->refs))
        return;
    cst_task_unref(entry->task);
    cst_log_context_clear(&entry->log);
    g_free(entry->info.pool);
    g_free(entry->info.volume);
    g_free(entry->info.resume);
    g_mutex_clear(&entry->lock);
    g_free(entry);
}

/* --- the log --------------------------------------------------------------------------------- */

static void log_job(const JobEntry *entry, const char *what)
{
    const CstJobInfo *info = &entry->info;

    if (info->volume)
        cst_log(CST_LOG_DEBUG, "job (%s of volume '%s' in pool '%s') %s", info->kind, info->volume,
                info->pool, what);
    else
        cst_log(CST_LOG_DEBUG, "job (%s of pool '%s') %s", info->kind, info->pool, what);
}

static void log_end(const JobEntry *entry, gboolean ok, const GError *why)
{
    double ms = (double)(g_get_monotonic_time() - entry->began) / 1000;
    g_autofree char *what = NULL;

    if (!cst_log_enabled(CST_LOG_DEBUG))
        return;
    what = ok ? g_strdup_printf("ended after %.1f ms", ms)
              : g_strdup_printf("failed after %.1f ms: %s", ms, why ? why->message : "unknown");
    log_job(entry, what);
}

/* Runs in the publishing thread, under the log context of the request that began the job. */
static void log_number(JobEntry *entry)
{
    g_autofree char *what = NULL;

    if (!cst_log_enabled(CST_LOG_DEBUG))
        return;
    what = g_strdup_printf("is listed as number %" G_GUINT64_FORMAT, entry->info.id);
    cst_log_push(&entry->log);
    log_job(entry, what);
    cst_log_pop(&entry->log);
}

/* --- publishing ------------------------------------------------------------------------------ */

/*
 * The rate is a moving average over RATE_SPAN_US, weighted by the time since the last call, since
 * ticks may be late. While the job is younger than that span, it is the average since its
 * beginning.
 */
static void update_progress(JobEntry *entry)
{
    CstProgress progress = cst_task_progress(entry->task);
    gint64 now = g_get_monotonic_time();
    double span = (double)MAX(now - entry->measured, 1);
    double fresh =
        (double)(progress.done - MIN(entry->info.done, progress.done)) * G_USEC_PER_SEC / span;
    gboolean young = now - entry->began < RATE_SPAN_US;
    double weight =
        young ? span / (double)MAX(now - entry->began, 1) : span / (RATE_SPAN_US + span);

    entry->info.rate = (uint64_t)((double)entry->info.rate * (1 - weight) + fresh * weight);
    entry->info.done = progress.done;
    entry->info.total = progress.total;
    entry->info.state = cst_task_waiting(entry->task) ? CST_JOB_WAITING : CST_JOB_RUNNING;
    entry->info.limit = cst_task_rate(entry->task);
    entry->measured = now;
}

/*
 * A failure (a full disk, for example) leaves the job unlisted and is logged once for the process;
 * the next tick tries again. The job itself goes on.
 */
static void publish(JobEntry *entry)
{
    g_autoptr(GError) error = NULL;

    entry->file = cst_job_file_publish(entry->jobs->paths, &entry->info, &entry->info.id, &error);
    if (entry->file) {
        entry->asked = entry->info.limit;
        cst_task_set_job(entry->task, entry->info.id);
        log_number(entry);
        return;
    }
    if (!entry->jobs->failed)
        cst_log(CST_LOG_WARNING, "jobs cannot be listed: %s", error->message);
    entry->jobs->failed = TRUE;
}

/* Obeys requests in the job's file. Of a limit there and one set here, the later one wins. */
static void take_requests(JobEntry *entry)
{
    /*
     * Not entry->info.limit: a limit that the task's own caller has set since would look like a
     * request.
     */
    uint64_t limit = entry->asked;
    gboolean cancel;

    cst_job_file_read_requests(entry->file, &cancel, &limit);
    if (cancel) {
        entry->cancel_requested = TRUE;
        cst_task_cancel(entry->task);
    }
    if (limit == entry->asked)
        return;
    cst_task_set_rate(entry->task, limit);
    entry->asked = entry->info.limit = limit;
}

/* Holds the entry's lock through the write, so that report_end() can't end the file in between. */
static void update_entry(JobEntry *entry)
{
    g_mutex_lock(&entry->lock);
    if (!entry->ended) {
        update_progress(entry);
        if (!entry->file && entry->measured - entry->began >= PUBLISH_AFTER_US)
            publish(entry);
        if (entry->file) {
            take_requests(entry);
            cst_job_file_update(entry->file, &entry->info);
        }
    }
    g_mutex_unlock(&entry->lock);
}

/*
 * With the lock of @jobs held, which is released while the files are written. References keep
 * entries alive that end in that time.
 */
static void update_all(Jobs *jobs)
{
    g_autoptr(GPtrArray) entries = g_ptr_array_new();
    GHashTableIter iter;
    gpointer entry;

    g_hash_table_iter_init(&iter, jobs->running);
    while (g_hash_table_iter_next(&iter, &entry, NULL))
        g_ptr_array_add(entries, entry_ref(entry));
    g_mutex_unlock(&jobs->lock);
    for (guint i = 0; i < entries->len; i++) {
        update_entry(g_ptr_array_index(entries, i));
        entry_unref(g_ptr_array_index(entries, i));
    }
    g_mutex_lock(&jobs->lock);
}

/* The publishing thread. A signal means a new job or the end, a timeout means a tick. */
static gpointer run(gpointer data)
{
    Jobs *jobs = data;
    guint idle = 0;

    g_mutex_lock(&jobs->lock);
    while (!jobs->stop) {
        idle = g_hash_table_size(jobs->running) ? 0 : idle + 1;
        jobs->asleep = idle > IDLE_TICKS;
        if (jobs->asleep)
            g_cond_wait(&jobs->cond, &jobs->lock);
        else if (!g_cond_wait_until(&jobs->cond, &jobs->lock, g_get_monotonic_time() + TICK_US))
            update_all(jobs);
    }
    g_mutex_unlock(&jobs->lock);
    return NULL;
}

/* --- all of them ----------------------------------------------------------------------------- */

Jobs *jobs_new(const CstPaths *paths, gboolean daemon)
{
    Jobs *jobs = g_new0(Jobs, 1);

    jobs->paths = (CstPaths *)paths;
    jobs->daemon = daemon;
    g_mutex_init(&jobs->lock);
    g_cond_init(&jobs->cond);
    jobs->running = g_hash_table_new(NULL, NULL);
    jobs->adopted = g_hash_table_new(NULL, NULL);
    return jobs;
}

void jobs_free(Jobs *jobs)
{
    if (!jobs)
        return;
    g_mutex_lock(&jobs->lock);
    jobs->stop = TRUE;
    g_cond_signal(&jobs->cond);
    g_mutex_unlock(&jobs->lock);
    if (jobs->thread)
        g_thread_join(jobs->thread);
    g_hash_table_unref(jobs->running);
    g_hash_table_unref(jobs->adopted);
    g_mutex_clear(&jobs->lock);
    g_cond_clear(&jobs->cond);
    g_free(jobs);
}

void jobs_stop(Jobs *jobs)
{
    GHashTableIter iter;
    gpointer entry;

    /* Before the table is walked: a job that is not in it yet sees the flag in add_entry(). */
    g_atomic_int_set(&jobs->stopping, TRUE);
    g_mutex_lock(&jobs->lock);
    g_hash_table_iter_init(&iter, jobs->running);
    while (g_hash_table_iter_next(&iter, &entry, NULL))
        cst_task_cancel(((JobEntry *)entry)->task);
    g_mutex_unlock(&jobs->lock);
}

static void add_entry(Jobs *jobs, JobEntry *entry)
{
    g_mutex_lock(&jobs->lock);
    if (g_atomic_int_get(&jobs->stopping))
        cst_task_cancel(entry->task);
    g_hash_table_add(jobs->running, entry);
    /* Without a thread jobs are not listed, which is no reason to refuse work. */
    if (!jobs->thread)
        jobs->thread = g_thread_try_new("jobs", run, jobs, NULL);
    if (jobs->asleep)
        g_cond_signal(&jobs->cond);
    g_mutex_unlock(&jobs->lock);
}

/* --- one of them ----------------------------------------------------------------------------- */

/* Takes a reference on @task over. */
static JobEntry *entry_new(Jobs *jobs, CstTask *task)
{
    JobEntry *entry = g_new0(JobEntry, 1);

    entry->refs = 1;
    entry->jobs = jobs;
    entry->began = entry->measured = g_get_monotonic_time();
    g_mutex_init(&entry->lock);
    entry->task = task;
    return entry;
}

static void begin(Job *job, CstService *service, const char *kind, const char *pool,
                  const char *volume, CstTask **task)
{
    JobEntry *entry;
    uid_t uid;
    pid_t pid;

    /* A resumed job goes on under the number and file that it had. */
    if (task && *task && job_take(job, service->jobs, *task))
        return;
    entry = entry_new(service->jobs, task && *task ? cst_task_ref(*task) : cst_task_new());
    if (task)
        *task = entry->task;
    cst_task_owner(entry->task, &uid, &pid);
    cst_task_set_kind(entry->task, kind);
    entry->info = (CstJobInfo){.state = CST_JOB_RUNNING,
                               .can_cancel = task != NULL,
                               .kind = (char *)kind,
                               .pool = g_strdup(pool),
                               .volume = g_strdup(volume),
                               .uid = uid,
                               .pid = pid,
                               .started = g_get_real_time(),
                               .attempt = 1};
    cst_log_context_copy(&entry->log);
    /* Log lines take the job's number from the task of their context. */
    if (!entry->log.task)
        entry->log.task = cst_task_ref(entry->task);
    log_job(entry, "begins");
    job->entry = entry;
    add_entry(entry->jobs, entry);
}

void job_begin(Job *job, CstPool *pool, const char *kind, const char *volume, CstTask **task)
{
    cst_log_set_pool(pool->name);
    cst_log_set_volume(volume);
    begin(job, pool->service, kind, pool->name, volume, task);
}

void job_begin_service(Job *job, CstService *service, const char *kind, const char *pools,
                       CstTask **task)
{
    begin(job, service, kind, pools, NULL, task);
}

void job_set_step(Job *job, const char *kind)
{
    g_mutex_lock(&job->entry->lock);
    job->entry->info.kind = (char *)kind;
    g_mutex_unlock(&job->entry->lock);
}

CstTask *jobs_adopt(Jobs *jobs, const char *kind, CstJobFile *file, CstJobInfo *info)
{
    JobEntry *entry = entry_new(jobs, cst_task_new());

    entry->left = info->ended;
    entry->taken_up = g_get_real_time();
    entry->info = *info;
    entry->info.kind = (char *)kind;
    entry->info.ended = 0;
    /* Work that is resumed begins anew. */
    entry->info.done = entry->info.total = entry->info.rate = 0;
    entry->file = file;
    entry->asked = info->limit;
    cst_task_set_owner(entry->task, info->uid, info->pid);
    cst_task_set_kind(entry->task, kind);
    cst_task_set_rate(entry->task, info->limit);
    cst_task_set_job(entry->task, info->id);
    cst_task_set_waiting(entry->task, TRUE);
    cst_job_file_update(file, &entry->info);
    g_free(info->kind);
    g_free(info);
    g_mutex_lock(&jobs->lock);
    g_hash_table_insert(jobs->adopted, entry->task, entry);
    g_mutex_unlock(&jobs->lock);
    add_entry(jobs, entry);
    return entry->task;
}

gboolean job_take(Job *job, Jobs *jobs, CstTask *task)
{
    JobEntry *entry;

    g_mutex_lock(&jobs->lock);
    entry = g_hash_table_lookup(jobs->adopted, task);
    g_hash_table_remove(jobs->adopted, task);
    g_mutex_unlock(&jobs->lock);
    if (!entry)
        return FALSE;
    cst_task_set_waiting(task, FALSE);
    log_job(entry, "is gone on with");
    job->entry = entry;
    return TRUE;
}

void job_may_resume(Job *job, CstPool *pool, const char *format, ...)
{
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *how = NULL;
    va_list args;

    if (!job->entry->jobs->daemon)
        return;
    va_start(args, format);
    how = g_strdup_vprintf(format, args);
    va_end(args);
    g_mutex_lock(&job->entry->lock);
    g_free(job->entry->info.resume);
    job->entry->info.resume =
        g_strdup_printf("%s %s", cst_uuid_format(cst_pool_uuid(pool), uuid), how);
    /* Dropped as a whole where the text or the names do not fit into the file. */
    if (!cst_job_file_can_resume(&job->entry->info))
        g_clear_pointer(&job->entry->info.resume, g_free);
    g_mutex_unlock(&job->entry->lock);
}

/*
 * A file without later changes is as the job left it, as its own last writes may be up to LATE_US
 * younger than the end that the file names. Devices and objects have no time of change; anybody may
 * have written to them, so work on those is never repeated.
 */
gboolean job_left_alone(const Job *job, const CstVolume *volume, GError **error)
{
    const JobEntry *entry = job->entry;
    /* Moving an older file into this place keeps its mtime, but sets its ctime. */
    gint64 changed = MAX(volume->stamp.mtime_ns, volume->stamp.ctime_ns) / 1000;

    if (!entry->left || (volume->type == CST_VOL_FILE && changed <= entry->left + LATE_US &&
                         changed <= entry->taken_up))
        return TRUE;
    return cst_fail(error, CST_ERROR_STATE,
                    _("volume '%s' may have been changed since the daemon was stopped in the "
                      "middle of this; begin it again if it is still wanted"),
                    volume->name);
}

void job_set_volume(Job *job, const char *volume)
{
    cst_log_set_volume(volume);
    g_mutex_lock(&job->entry->lock);
    g_free(job->entry->info.volume);
    job->entry->info.volume = g_strdup(volume);
    g_mutex_unlock(&job->entry->lock);
}

/*
 * Whether the job was cancelled by jobs_stop(), as opposed to a request in its file or a failure.
 */
static gboolean is_interrupted(const JobEntry *entry, CstErrorCode code)
{
    return code == CST_ERROR_CANCELLED && !entry->cancel_requested &&
           g_atomic_int_get(&entry->jobs->stopping);
}

/* With the entry's lock held. Ends the file, or suspends it for the next daemon to resume. */
static void report_interruption(JobEntry *entry, CstJobInfo *info)
{
    g_autofree char *text = NULL;

    info->state = CST_JOB_INTERRUPTED;
    text = g_strdup_printf(_("the daemon was stopped; %s"), job_left(info, FALSE));
    info->error = text;
    info->error_word = (char *)cst_error_info(CST_ERROR_FAILED)->word;
    if (cst_job_file_can_resume(info))
        cst_job_file_suspend(g_steal_pointer(&entry->file), info);
    else
        cst_job_file_end(g_steal_pointer(&entry->file), info);
}

/*
 * With the entry's lock held: writes how the job ended. Jobs that were never published leave no
 * trace.
 */
static void report_end(JobEntry *entry, gboolean ok, const GError *why)
{
    CstJobInfo info;

    update_progress(entry);
    info = entry->info;
    info.ended = g_get_real_time();
    /* The final rate is the average over the whole job. */
    info.rate = (uint64_t)((double)info.done * G_USEC_PER_SEC /
                           (double)MAX(entry->measured - entry->began, 1));
    info.state = CST_JOB_DONE;
    if (!ok) {
        CstErrorCode code = why ? cst_error_code(why) : CST_ERROR_INTERNAL;

        if (is_interrupted(entry, code)) {
            report_interruption(entry, &info);
            return;
        }
        info.state = code == CST_ERROR_CANCELLED ? CST_JOB_CANCELLED : CST_JOB_FAILED;
        info.error = why ? why->message : NULL;
        info.error_word = (char *)cst_error_info(code)->word;
    }
    cst_job_file_end(g_steal_pointer(&entry->file), &info);
}

/* Takes the entry off the table first, so that the publishing thread takes no new reference. */
static void end(Job *job, gboolean ok, const GError *why)
{
    JobEntry *entry = g_steal_pointer(&job->entry);

    g_mutex_lock(&entry->jobs->lock);
    g_hash_table_remove(entry->jobs->running, entry);
    g_mutex_unlock(&entry->jobs->lock);
    g_mutex_lock(&entry->lock);
    entry->ended = TRUE;
    log_end(entry, ok, why);
    if (entry->file)
        report_end(entry, ok, why);
    g_mutex_unlock(&entry->lock);
    entry_unref(entry);
}

gboolean job_end(Job *job, gboolean ok, GError **error)
{
    end(job, ok, error ? *error : NULL);
    return ok;
}

void job_clear(Job *job)
{
    if (job->entry)
        end(job, FALSE, NULL);
}

/* --- questions ------------------------------------------------------------------------------- */

/*
 * An interrupted job was killed before it could write an error: says in its place what it has left.
 */
static void explain(CstJobInfo *job)
{
    if (job->state != CST_JOB_INTERRUPTED || job->error)
        return;
    job->error = g_strdup_printf(_("the process that did it is gone; %s"), job_left(job, TRUE));
    g_free(job->error_word);
    job->error_word = g_strdup(cst_error_info(CST_ERROR_FAILED)->word);
}

GPtrArray *cst_service_jobs(CstService *service, gboolean ended)
{
    GPtrArray *jobs = cst_job_files_load(service->paths);

    for (guint i = jobs->len; i-- > 0;) {
        CstJobInfo *job = g_ptr_array_index(jobs, i);

        if (!ended && cst_job_state_is_end(job->state))
            g_ptr_array_remove_index(jobs, i);
        else
            explain(job);
    }
    return jobs;
}

CstJobInfo *cst_service_job(CstService *service, uint64_t id, GError **error)
{
    CstJobInfo *job = cst_job_file_load(service->paths, id, error);

    if (job)
        explain(job);
    return job;
}

gboolean cst_service_job_cancel(CstService *service, uint64_t id, GError **error)
{
    return cst_job_file_cancel(service->paths, id, error);
}

gboolean cst_service_job_set_limit(CstService *service, uint64_t id, uint64_t limit, GError **error)
{
    return cst_job_file_set_limit(service->paths, id, limit, error);
}
