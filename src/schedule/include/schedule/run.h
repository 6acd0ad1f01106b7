/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/uuid.h>

/** Runs of schedules, and the copies that they made. Times are seconds since the epoch. */

/** The numbers are part of the protocol and of the database. */
typedef enum {
    CST_SCHEDULE_RUNNING,
    CST_SCHEDULE_DONE,
    CST_SCHEDULE_PARTLY,  /**< the action failed for some volumes */
    CST_SCHEDULE_SKIPPED, /**< a run was not possible, such as for a lack of space */
    CST_SCHEDULE_FAILED,
    CST_SCHEDULE_INTERRUPTED, /**< its process ended before */
    CST_SCHEDULE_STATE_LAST
} CstScheduleState;

/** Returns the word of a state: "done", …; not translated. "unknown" for other numbers. */
const char *cst_schedule_state_word(int state);

/** Whether a process that works on a run ends it in @state. */
static inline gboolean cst_schedule_state_is_end(int state)
{
    return state > CST_SCHEDULE_RUNNING && state < CST_SCHEDULE_INTERRUPTED;
}

typedef struct {
    int64_t id;
    char *schedule;       /**< its name */
    int64_t planned;      /**< the time of the calendar; of a manual run the time of its begin */
    int64_t began, ended; /**< ended: 0 while it runs */
    CstScheduleState state;
    gboolean manual;
    uint64_t job;           /**< number of its job */
    uint32_t made, removed; /**< copies */
    uint32_t consistency;   /**< CstConsistency of the worst copy; 0: unknown, or no copy */
    char *message;          /**< reason of a failure; NULL: no message */
} CstScheduleRun;

/** NULL is accepted. */
void cst_schedule_run_free(CstScheduleRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstScheduleRun, cst_schedule_run_free)

/**
 * A snapshot or backup of a schedule. It exists only if an object has this name and was created at
 * this time, so an object that replaced it is never removed.
 */
typedef struct {
    int64_t id;      /**< 0: not stored yet */
    char *place;     /**< the repository, or URI of the other host; "" on this host */
    char *pool;      /**< name of the pool; "" of a backup */
    char *volume;    /**< "" of a backup */
    char *name;      /**< of the snapshot, or id of the backup */
    int64_t time;    /**< planned time of the run */
    int64_t created; /**< as the storage reports it; 0: it is being made, or the time is unknown */
} CstScheduleCopy;

/** NULL is accepted. */
void cst_schedule_copy_free(CstScheduleCopy *copy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstScheduleCopy, cst_schedule_copy_free)

/** Returns the planned time of the newest of @copies (CstScheduleCopy *), or 0 if it is empty. */
int64_t cst_schedule_newest_copy(const GPtrArray *copies);
