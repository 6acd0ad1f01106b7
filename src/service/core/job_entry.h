/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/log_context.h>
#include <base/task.h>
#include <model/job.h>
#include <store/job_files.h>

#include "job.h"

/** One job of this process, and what all of them share: for job.c. */

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
    gint64 measured; /* monotonic; when info.done was what it is */
    uint64_t asked;  /* the last rate limit taken from the file */

    gint cancel_requested; /* atomic; through the file */
    gint abandoned;        /* atomic; its client is gone, and the publishing thread ends it */
    gboolean of_client;    /* constant, as the next one: a client does the work */
    uint64_t group; /* of a client's job: its own; else that of which it is a part; 0: none */
};

/** Makes an entry with one reference; takes a reference on @task over. */
JobEntry *job_entry_new(Jobs *jobs, CstTask *task);
JobEntry *job_entry_ref(JobEntry *entry);
void job_entry_unref(JobEntry *entry);
/** Says of the job in the log that it @what ("begins"). */
void job_entry_log(const JobEntry *entry, const char *what);
/**
 * Lists the job if that is due, writes its progress and takes over what was requested. @is_part: it
 * is a part of a client's job that is listed.
 */
void job_entry_update(JobEntry *entry, gboolean is_part);
/** Lists the job at once and returns its number; 0 with @error when it can't be listed. */
uint64_t job_entry_publish(JobEntry *entry, GError **error);
/** Reports how the job has ended, if it was listed. No update follows. */
void job_entry_end(JobEntry *entry, gboolean ok, const GError *why);
