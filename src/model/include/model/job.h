/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** A piece of work on storage that may last, as lists and questions show it. */

typedef enum {
    CST_JOB_RUNNING,
    CST_JOB_WAITING, /**< for its turn: somebody else holds what it needs */
    CST_JOB_DONE,
    CST_JOB_FAILED,
    CST_JOB_CANCELLED,
    CST_JOB_INTERRUPTED, /**< the process that did it is gone */
    CST_JOB_STATE_LAST
} CstJobState;

/** "running", …, "unknown"; stable, untranslated. */
const char *cst_job_state_word(int state);
static inline gboolean cst_job_state_is_end(int state)
{
    return state != CST_JOB_RUNNING && state != CST_JOB_WAITING;
}

typedef struct {
    uint64_t id; /**< counts up, never used again under one root */
    CstJobState state;
    gboolean can_cancel;
    char *kind;       /**< "clone", "wipe", …: what is done */
    char *pool;       /**< its name */
    char *volume;     /**< NULL: work on the pool itself */
    uint32_t uid;     /**< of whoever asked for it */
    int32_t pid;      /**< the same; 0: unknown */
    int64_t started;  /**< microseconds since 1970 */
    int64_t ended;    /**< the same; 0: it goes on */
    uint64_t done;    /**< bytes */
    uint64_t total;   /**< bytes; 0: unknown */
    uint64_t rate;    /**< bytes a second, of late */
    uint64_t limit;   /**< of the rate; 0: none */
    char *error;      /**< the detail of how it failed; NULL: it didn't */
    char *error_word; /**< its class, see CstErrorInfo; NULL: none */
    char *resume;     /**< what a daemon must know to go on with it; NULL: it can't */
    unsigned attempt; /**< which daemon works on it: 1, 2, … */
} CstJobInfo;

void cst_job_info_free(CstJobInfo *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstJobInfo, cst_job_info_free)

/** Seconds until it is done at its rate; -1: can't be told. */
int64_t cst_job_seconds_left(const CstJobInfo *job);

/** TRUE for a job that was done; otherwise its failure, FAILED when it has not ended. */
gboolean cst_job_check_done(const CstJobInfo *job, GError **error);
