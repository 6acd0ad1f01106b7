/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** A job: an operation on storage that may take long, as listed and queried. */

typedef enum {
    CST_JOB_RUNNING,
    CST_JOB_WAITING, /**< for another operation to release a resource */
    CST_JOB_DONE,
    CST_JOB_FAILED,
    CST_JOB_CANCELLED,
    CST_JOB_INTERRUPTED, /**< the process that worked on it has died */
    CST_JOB_STATE_LAST
} CstJobState;

/** Returns the name of a state: "running", …, "unknown". Stable, not translated. */
const char *cst_job_state_word(int state);
/** Whether a job in @state has ended. */
static inline gboolean cst_job_state_is_end(int state)
{
    return state != CST_JOB_RUNNING && state != CST_JOB_WAITING;
}

typedef struct {
    uint64_t id; /**< counts up; never reused under one root */
    CstJobState state;
    gboolean can_cancel;
    char *kind;       /**< operation: "clone", "wipe", … */
    char *pool;       /**< its name */
    char *volume;     /**< NULL: work on the pool itself */
    uint32_t uid;     /**< of the requesting user */
    int32_t pid;      /**< of the process that requested it; 0: unknown */
    int64_t started;  /**< microseconds since 1970 */
    int64_t ended;    /**< microseconds since 1970; 0: not ended */
    uint64_t done;    /**< bytes */
    uint64_t total;   /**< bytes; 0: unknown */
    uint64_t rate;    /**< recent bytes per second */
    uint64_t limit;   /**< of the rate, bytes per second; 0: no limit */
    char *error;      /**< message of its failure; NULL: not failed */
    char *error_word; /**< code of its failure, see CstErrorInfo; NULL: no failure */
    char *resume;     /**< the daemon's data for resuming it; NULL: cannot be resumed */
    unsigned attempt; /**< number of the process that works on it: 1, 2, … */
} CstJobInfo;

/** NULL is accepted. */
void cst_job_info_free(CstJobInfo *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstJobInfo, cst_job_info_free)

/** Returns the estimated seconds until the job is done; -1: unknown. */
int64_t cst_job_seconds_left(const CstJobInfo *job);

/**
 * Returns TRUE if the job is done. Otherwise sets @error to its failure, or to FAILED if it has no
 * failure.
 */
gboolean cst_job_check_done(const CstJobInfo *job, GError **error);
