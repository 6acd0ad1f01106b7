/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A job of this process: its record, its file and its end (see job.c). The lock of an entry
 * guards both, and is held during file I/O.
 */
#include "job_entry.h"

#include <inttypes.h>

#include <base/error_class.h>
#include <base/i18n.h>
#include <base/log.h>

#include "job_kind.h"

#define PUBLISH_AFTER_US (200 * G_TIME_SPAN_MILLISECOND)
#define PART_AFTER_US    G_TIME_SPAN_SECOND /* the same for possible parts of a client's job */
#define RATE_SPAN_US     (3 * G_TIME_SPAN_SECOND) /* smoothing period of the rate */

JobEntry *job_entry_new(Jobs *jobs, CstTask *task)
{
    JobEntry *entry = g_new0(JobEntry, 1);

    entry->refs = 1;
    entry->jobs = jobs;
    entry->began = entry->measured = g_get_monotonic_time();
    g_mutex_init(&entry->lock);
    entry->task = task;
    return entry;
}

JobEntry *job_entry_ref(JobEntry *entry)
{
    g_atomic_int_inc(&entry->refs);
    return entry;
}

void job_entry_unref(JobEntry *entry)
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

void job_entry_log(const JobEntry *entry, const char *what)
{
    const CstJobInfo *info = &entry->info;

    if (info->volume)
        cst_log(CST_LOG_DEBUG, "job (%s of volume '%s' in pool '%s') %s", info->kind, info->volume,
                info->pool, what);
    else
        cst_log(CST_LOG_DEBUG, "job (%s of pool '%s') %s", info->kind, info->pool, what);
}

static void job_entry_log_end(const JobEntry *entry, gboolean ok, const GError *why)
{
    double ms = (double)(g_get_monotonic_time() - entry->began) / 1000;
    g_autofree char *what = NULL;

    if (!cst_log_enabled(CST_LOG_DEBUG))
        return;
    what = ok ? g_strdup_printf("ended after %.1f ms", ms)
              : g_strdup_printf("failed after %.1f ms: %s", ms, why ? why->message : "unknown");
    job_entry_log(entry, what);
}

/*
 * Logs the job's number. Runs in the publishing thread, with the log context of the request that
 * began the job.
 */
static void log_number(JobEntry *entry)
{
    g_autofree char *what = NULL;

    if (!cst_log_enabled(CST_LOG_DEBUG))
        return;
    what = g_strdup_printf("is listed as number %" G_GUINT64_FORMAT, entry->info.id);
    cst_log_push(&entry->log);
    job_entry_log(entry, what);
    cst_log_pop(&entry->log);
}

/* --- publishing ------------------------------------------------------------------------------ */

/*
 * The rate is a moving average over RATE_SPAN_US, weighted by the time since the last call, because
 * ticks may be late. For a job that is younger than this period it is the average since the
 * beginning.
 */
static void job_entry_update_progress(JobEntry *entry)
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

static gboolean job_entry_write_file(JobEntry *entry, GError **error)
{
    entry->file = cst_job_file_publish(entry->jobs->paths, &entry->info, &entry->info.id, error);
    if (!entry->file)
        return FALSE;
    entry->asked = entry->info.limit;
    cst_task_set_job(entry->task, entry->info.id);
    log_number(entry);
    return TRUE;
}

/*
 * Publishes the job. On failure, for example a full disk, the job stays unlisted and continues. The
 * failure is logged once per process, and the next tick retries.
 */
static void try_publish(JobEntry *entry)
{
    g_autoptr(GError) error = NULL;

    if (job_entry_write_file(entry, &error))
        return;
    if (!entry->jobs->failed)
        cst_log(CST_LOG_WARNING, "jobs cannot be listed: %s", error->message);
    entry->jobs->failed = TRUE;
}

/*
 * Applies requests in the job's file. If a limit was set in the file and by the task, the later one
 * wins.
 */
static void job_entry_apply_requests(JobEntry *entry)
{
    /*
     * entry->info.limit may be a limit set by the task's own caller, which would look like a
     * request.
     */
    uint64_t limit = entry->asked;
    gboolean cancel;

    cst_job_file_read_requests(entry->file, &cancel, &limit);
    if (cancel) {
        g_atomic_int_set(&entry->cancel_requested, TRUE);
        cst_task_cancel(entry->task);
    }
    if (limit == entry->asked)
        return;
    cst_task_set_rate(entry->task, limit);
    entry->asked = entry->info.limit = limit;
}

/*
 * Returns whether the job has to be listed now. A part of a client's job (@is_part) is not listed,
 * because it appears as that job's progress. PART_AFTER_US gives the client time to begin its job.
 */
static gboolean job_entry_is_due(const JobEntry *entry, gboolean is_part)
{
    gint64 after = entry->group ? PART_AFTER_US : PUBLISH_AFTER_US;

    /* Another process can resume only a job that has a file. */
    return (!is_part || entry->info.resume) && entry->measured - entry->began >= after;
}

/* The lock is held during the write, so that job_entry_end() cannot end the file in between. */
void job_entry_update(JobEntry *entry, gboolean is_part)
{
    g_mutex_lock(&entry->lock);
    if (!entry->ended) {
        job_entry_update_progress(entry);
        if (!entry->file && job_entry_is_due(entry, is_part))
            try_publish(entry);
        if (entry->file) {
            job_entry_apply_requests(entry);
            cst_job_file_update(entry->file, &entry->info);
        }
    }
    g_mutex_unlock(&entry->lock);
}

uint64_t job_entry_publish(JobEntry *entry, GError **error)
{
    gboolean listed;

    g_mutex_lock(&entry->lock);
    job_entry_update_progress(entry);
    listed = entry->file || job_entry_write_file(entry, error);
    g_mutex_unlock(&entry->lock);
    return listed ? entry->info.id : 0;
}

/* --- end -------------------------------------------------------------------------------------- */

/*
 * Returns whether jobs_stop() cancelled the job, in contrast to a request in its file or a failure.
 */
static gboolean is_interrupted(const JobEntry *entry, CstErrorCode code)
{
    return code == CST_ERROR_CANCELLED && !g_atomic_int_get(&entry->cancel_requested) &&
           g_atomic_int_get(&entry->jobs->stopping);
}

/*
 * Records the end of a listed job. The runs of schedules have events of their own. A job of an
 * embedded command has the uid of the command.
 */
static void job_entry_record(const JobEntry *entry, const CstJobInfo *info, CstEventKind kind)
{
    g_autofree char *object =
        info->volume ? g_strdup_printf("%s/%s", info->pool, info->volume) : g_strdup(info->pool);
    g_autofree char *message = NULL;

    if (g_str_equal(info->kind, "schedule"))
        return;
    message = info->error ? g_strdup_printf(_("job %" PRIu64 " (%s): %s"), info->id, info->kind,
                                            info->error)
                          : g_strdup_printf(_("job %" PRIu64 " (%s) is %s"), info->id, info->kind,
                                            cst_job_state_word(info->state));
    event_log_add_by(entry->jobs->events, kind, info->volume ? "volume" : "pool", object, info->uid,
                     message);
}

/* Ends the file, or suspends it for the next daemon to resume. Requires the entry's lock. */
static void report_interruption(JobEntry *entry, CstJobInfo *info)
{
    gboolean stopped = g_atomic_int_get(&entry->jobs->stopping);
    g_autofree char *text = NULL;

    info->state = CST_JOB_INTERRUPTED;
    text = g_strdup_printf(stopped ? _("the daemon was stopped; %s")
                                   : _("the command that did it is gone; %s"),
                           job_left(info, !stopped));
    info->error = text;
    info->error_word = (char *)cst_error_info(CST_ERROR_FAILED)->word;
    if (cst_job_file_can_resume(info))
        cst_job_file_suspend(g_steal_pointer(&entry->file), info);
    else
        cst_job_file_end(g_steal_pointer(&entry->file), info);
    job_entry_record(entry, info, CST_EVENT_JOB_INTERRUPTED);
}

/* Writes the result of a published job to its file. Requires the entry's lock. */
static void job_entry_write_end(JobEntry *entry, gboolean ok, const GError *why)
{
    CstJobInfo info;

    job_entry_update_progress(entry);
    info = entry->info;
    info.ended = g_get_real_time();
    /* The final rate is the average over the whole job. */
    info.rate = (uint64_t)((double)info.done * G_USEC_PER_SEC /
                           (double)MAX(entry->measured - entry->began, 1));
    info.state = CST_JOB_DONE;
    if (g_atomic_int_get(&entry->abandoned)) {
        report_interruption(entry, &info);
        return;
    }
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
    job_entry_record(entry, &info,
                     info.state == CST_JOB_DONE     ? CST_EVENT_JOB_DONE
                     : info.state == CST_JOB_FAILED ? CST_EVENT_JOB_FAILED
                                                    : CST_EVENT_JOB_CANCELLED);
}

void job_entry_end(JobEntry *entry, gboolean ok, const GError *why)
{
    g_mutex_lock(&entry->lock);
    entry->ended = TRUE;
    job_entry_log_end(entry, ok, why);
    if (entry->file)
        job_entry_write_end(entry, ok, why);
    g_mutex_unlock(&entry->lock);
}
