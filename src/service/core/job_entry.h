/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/log_context.h>
#include <base/task.h>
#include <model/job.h>
#include <store/job_files.h>

#include "job.h"

/** A job of this process, and the state shared by all jobs. Only for job.c. */

struct Jobs {
    CstPaths *paths;  /* borrowed */
    EventLog *events; /* borrowed */
    gboolean daemon;
    gint stopping; /* atomic */
    GMutex lock;   /* guards the members below; held only briefly */
    GCond cond;
    GHashTable *running; /* of JobEntry *, borrowed */
    GHashTable *adopted; /* CstTask * to the JobEntry of a dead process, until job_begin() */
    GThread *thread;     /* NULL until the first job */
    gboolean asleep;
    gboolean stop;
    gboolean failed; /* a job could not be published; later failures are not logged */
};

struct JobEntry {
    gint refs;
    Jobs *jobs;
    CstTask *task;
    gint64 began;      /* monotonic */
    gint64 left;       /* resumed job: the time when its process ended; else 0 */
    gint64 taken_up;   /* resumed: time when this process found it; both in µs since 1970 */
    CstLogContext log; /* context of the request that began it, for the publishing thread */

    GMutex lock; /* guards the members below; held during I/O on its file */
    CstJobInfo info;
    CstJobFile *file; /* NULL: not published */
    gboolean ended;
    gint64 measured; /* monotonic; the time at which info.done was read */
    uint64_t asked;  /* the last rate limit that was read from the file */

    gint cancel_requested; /* atomic; requested through the file */
    gint abandoned;        /* atomic; the client is gone, and the publishing thread ends the job */
    gboolean of_client;    /* constant, like group: a client does the work */
    uint64_t group; /* of a client's job: its group; else that of its parent job; 0: no group */
};

/** Returns a new entry with one reference. Consumes the reference to @task. */
JobEntry *job_entry_new(Jobs *jobs, CstTask *task);
JobEntry *job_entry_ref(JobEntry *entry);
void job_entry_unref(JobEntry *entry);
/** Logs "job (…) @what", for example with @what "begins". */
void job_entry_log(const JobEntry *entry, const char *what);
/**
 * Lists the job if it is due, writes its progress and applies requests. @is_part: the job is a part
 * of a listed job of a client.
 */
void job_entry_update(JobEntry *entry, gboolean is_part);
/** Lists the job at once and returns its number. Returns 0 with @error if it cannot be listed. */
uint64_t job_entry_publish(JobEntry *entry, GError **error);
/** Writes the result to the job's file, if it has one. No update follows. */
void job_entry_end(JobEntry *entry, gboolean ok, const GError *why);
