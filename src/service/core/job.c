/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Jobs. Beginning a job adds an entry to a table. Only a job that lasts gets a file that other
 * processes can read (store/job_files.h). One thread per process wakes up every TICK_US. It
 * publishes the jobs that are older than PUBLISH_AFTER_US, and writes the progress of all published
 * jobs into their files. It also reads requests from these files: to cancel, to limit the rate. The
 * thread sleeps while there is no job.
 *
 * The caller of job_begin() owns the job until job_end(). The publishing thread acquires
 * references. The entry's flag "ended" prevents it from writing a file after its end was written.
 *
 * The lock of Jobs guards the tables; the lock of an entry guards its record and its file. The
 * former is not held during file I/O, so that a slow disk does not delay the beginning of a job.
 *
 * When the process is asked to stop, all tasks are cancelled. A job that ends for that reason,
 * without a cancel request of its own, is reported as interrupted. Its file is left for the next
 * daemon if it can be resumed (recovery/resume.c).
 */
#include "job.h"

#include <base/dry_run.h>
#include <base/error_class.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/test_point.h>

#include "job_entry.h"
#include "pool.h"
#include "service.h"

#define TICK_US    (100 * G_TIME_SPAN_MILLISECOND)
#define IDLE_TICKS 10                       /* ticks without a job before the thread sleeps */
#define LATE_US    (2 * G_TIME_SPAN_SECOND) /* tolerance for a too early end in a job's file */

/* --- publishing ------------------------------------------------------------------------------ */

/* Removes the entry if its client is gone, and passes the reference of the table to the caller. */
static gboolean jobs_steal_abandoned(GHashTableIter *iter, JobEntry *entry)
{
    if (!g_atomic_int_get(&entry->abandoned))
        return FALSE;
    g_hash_table_iter_remove(iter);
    return TRUE;
}

/*
 * Publishes or updates all jobs. Requires the lock of @jobs, which is released during file I/O.
 * References keep entries alive that end in that time.
 */
static void update_all(Jobs *jobs)
{
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func((GDestroyNotify)job_entry_unref);
    g_autoptr(GPtrArray) abandoned =
        g_ptr_array_new_with_free_func((GDestroyNotify)job_entry_unref);
    g_autoptr(GHashTable) groups = g_hash_table_new(g_int64_hash, g_int64_equal);
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, jobs->running);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        JobEntry *entry = key;

        if (jobs_steal_abandoned(&iter, entry)) {
            g_ptr_array_add(abandoned, entry);
            continue;
        }
        g_ptr_array_add(entries, job_entry_ref(entry));
        if (entry->of_client && entry->group)
            g_hash_table_add(groups, &entry->group);
    }
    g_mutex_unlock(&jobs->lock);
    CST_TEST_POINT("jobs.update.unlocked");
    for (guint i = 0; i < entries->len; i++) {
        JobEntry *entry = g_ptr_array_index(entries, i);

        job_entry_update(entry, !entry->of_client && g_hash_table_contains(groups, &entry->group));
    }
    for (guint i = 0; i < abandoned->len; i++)
        job_entry_end(g_ptr_array_index(abandoned, i), FALSE, NULL);
    g_mutex_lock(&jobs->lock);
}

/*
 * The publishing thread. A signal means a new job or the end of the thread, a timeout means a tick.
 */
static gpointer jobs_publish_thread(gpointer data)
{
    Jobs *jobs = data;
    guint idle = 0;

    g_mutex_lock(&jobs->lock);
    while (!jobs->stop) {
        idle = g_hash_table_size(jobs->running) ? 0 : idle + 1;
        jobs->asleep = idle > IDLE_TICKS;
        if (jobs->asleep) {
            CST_TEST_POINT("jobs.thread.sleep");
            g_cond_wait(&jobs->cond, &jobs->lock);
        } else if (!g_cond_wait_until(&jobs->cond, &jobs->lock, g_get_monotonic_time() + TICK_US))
            update_all(jobs);
    }
    g_mutex_unlock(&jobs->lock);
    return NULL;
}

/* --- all jobs --------------------------------------------------------------------------------- */

Jobs *jobs_new(const CstPaths *paths, EventLog *events, gboolean daemon)
{
    Jobs *jobs = g_new0(Jobs, 1);

    jobs->paths = (CstPaths *)paths;
    jobs->events = events;
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
    CST_TEST_POINT("jobs.free.joined");
    /* End the jobs that clients have abandoned since the last tick. */
    g_mutex_lock(&jobs->lock);
    update_all(jobs);
    g_mutex_unlock(&jobs->lock);
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

    /*
     * Set the flag before the iteration: jobs_add_entry() checks it for a job that is not in the
     * table yet.
     */
    g_atomic_int_set(&jobs->stopping, TRUE);
    CST_TEST_POINT("jobs.stop.flagged");
    g_mutex_lock(&jobs->lock);
    g_hash_table_iter_init(&iter, jobs->running);
    while (g_hash_table_iter_next(&iter, &entry, NULL))
        cst_task_cancel(((JobEntry *)entry)->task);
    g_mutex_unlock(&jobs->lock);
}

gboolean jobs_are_stopping(Jobs *jobs)
{
    return g_atomic_int_get(&jobs->stopping);
}

static void jobs_add_entry(Jobs *jobs, JobEntry *entry)
{
    g_mutex_lock(&jobs->lock);
    if (g_atomic_int_get(&jobs->stopping))
        cst_task_cancel(entry->task);
    g_hash_table_add(jobs->running, entry);
    /* Without the thread jobs are not listed. The operation itself must not fail for that. */
    if (!jobs->thread)
        jobs->thread = g_thread_try_new("jobs", jobs_publish_thread, jobs, NULL);
    if (jobs->asleep)
        g_cond_signal(&jobs->cond);
    g_mutex_unlock(&jobs->lock);
}

/* --- one job ---------------------------------------------------------------------------------- */

static JobEntry *make_entry(Jobs *jobs, const char *kind, const char *pool, const char *volume,
                            CstTask **task)
{
    JobEntry *entry = job_entry_new(jobs, task && *task ? cst_task_ref(*task) : cst_task_new());
    uid_t uid;
    pid_t pid;

    if (task)
        *task = entry->task;
    cst_task_owner(entry->task, &uid, &pid);
    cst_task_set_kind(entry->task, kind);
    entry->group = cst_task_part_of(entry->task);
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
    /* Log lines get the job's number from the task of their context. */
    if (!entry->log.task)
        entry->log.task = cst_task_ref(entry->task);
    job_entry_log(entry, "begins");
    return entry;
}

static void job_begin_entry(Job *job, CstService *service, const char *kind, const char *pool,
                            const char *volume, CstTask **task)
{
    /* A resumed job keeps its number and file. */
    if (task && *task && job_take(job, service->jobs, *task))
        return;
    job->entry = make_entry(service->jobs, kind, pool, volume, task);
    jobs_add_entry(service->jobs, job->entry);
}

void job_begin(Job *job, CstPool *pool, const char *kind, const char *volume, CstTask **task)
{
    cst_log_set_pool(pool->name);
    cst_log_set_volume(volume);
    cst_log_set_in_job();
    job_begin_entry(job, pool->service, kind, pool->name, volume, task);
}

void job_begin_service(Job *job, CstService *service, const char *kind, const char *pools,
                       CstTask **task)
{
    job_begin_entry(job, service, kind, pools, NULL, task);
}

uint64_t job_begin_client(Job *job, CstService *service, const CstClientJob *what, CstTask *task,
                          GError **error)
{
    uint64_t id;

    job->entry = make_entry(service->jobs, what->kind, what->pool, what->volume, &task);
    job->entry->of_client = TRUE;
    job->entry->group = what->group;
    id = job_entry_publish(job->entry, error);
    jobs_add_entry(service->jobs, job->entry);
    return id;
}

void job_list_now(const Job *job)
{
    if (!cst_dry_run())
        job_entry_publish(job->entry, NULL);
}

gboolean job_cancel_requested(const Job *job)
{
    return g_atomic_int_get(&job->entry->cancel_requested);
}

void job_abandon(Job *job)
{
    CST_TEST_POINT("job.abandon");
    g_atomic_int_set(&g_steal_pointer(&job->entry)->abandoned, TRUE);
}

void job_set_step(Job *job, const char *kind)
{
    g_mutex_lock(&job->entry->lock);
    job->entry->info.kind = (char *)kind;
    g_mutex_unlock(&job->entry->lock);
}

CstTask *jobs_adopt(Jobs *jobs, const char *kind, CstJobFile *file, CstJobInfo *info)
{
    JobEntry *entry = job_entry_new(jobs, cst_task_new());

    entry->left = info->ended;
    entry->taken_up = g_get_real_time();
    entry->info = *info;
    entry->info.kind = (char *)kind;
    entry->info.ended = 0;
    /* A resumed job starts from the beginning. */
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
    jobs_add_entry(jobs, entry);
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
    job_entry_log(entry, "is gone on with");
    job->entry = entry;
    return TRUE;
}

gboolean job_may_resume(Job *job, CstPool *pool, const char *format, ...)
{
    char uuid[CST_UUID_TEXT_LEN];
    g_autofree char *how = NULL, *text = NULL;
    va_list args;

    if (!job->entry->jobs->daemon)
        return TRUE;
    va_start(args, format);
    how = g_strdup_vprintf(format, args);
    va_end(args);
    text = g_strdup_printf("%s %s", cst_uuid_format(cst_pool_uuid(pool), uuid), how);
    if (!cst_job_file_resume_fits(text))
        return FALSE;
    g_mutex_lock(&job->entry->lock);
    g_free(job->entry->info.resume);
    job->entry->info.resume = g_steal_pointer(&text);
    /* The names may not fit, or no attempts are left. */
    if (!cst_job_file_can_resume(&job->entry->info))
        g_clear_pointer(&job->entry->info.resume, g_free);
    g_mutex_unlock(&job->entry->lock);
    return TRUE;
}

gboolean job_fail_resume(const char *volume, const char *base, GError **error)
{
    return cst_fail(error, CST_ERROR_LIMIT,
                    _("volume '%s' is not changed, because the record of the job has no room for "
                      "the path '%s' of the layer below; move that layer to a shorter path"),
                    volume, base);
}

/*
 * The file counts as unchanged if its times are at most LATE_US after the job's recorded end,
 * because the job's own last writes may be that late. Devices and objects have no time of change,
 * and other programs may have written to them. Therefore work on them is never repeated.
 */
gboolean job_left_alone(const Job *job, const CstVolume *volume, GError **error)
{
    const JobEntry *entry = job->entry;
    /* Renaming an older file to this name keeps its mtime and sets its ctime. */
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
 * Removes the entry from the table first, so that the publishing thread acquires no new reference.
 */
static void job_end_entry(Job *job, gboolean ok, const GError *why)
{
    JobEntry *entry = g_steal_pointer(&job->entry);

    g_mutex_lock(&entry->jobs->lock);
    g_hash_table_remove(entry->jobs->running, entry);
    g_mutex_unlock(&entry->jobs->lock);
    job_entry_end(entry, ok, why);
    job_entry_unref(entry);
}

gboolean job_end(Job *job, gboolean ok, GError **error)
{
    job_end_entry(job, ok, error ? *error : NULL);
    return ok;
}

void job_clear(Job *job)
{
    if (job->entry)
        job_end_entry(job, FALSE, NULL);
}
