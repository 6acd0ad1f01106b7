/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * Progress and cancellation of one piece of long work. Safe from any thread; NULL is accepted
 * everywhere and means "nobody watches, nobody cancels".
 */
typedef struct CstTask CstTask;

typedef struct {
    uint64_t done;  /**< bytes */
    uint64_t total; /**< bytes; 0 while unknown */
} CstProgress;

/** Makes a task: nothing done, total unknown, not cancelled, no rate. Never NULL. */
CstTask *cst_task_new(void);
/** Returns @task with another reference. */
CstTask *cst_task_ref(CstTask *task);
/** Drops a reference; the last one frees the task. */
void cst_task_unref(CstTask *task);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTask, cst_task_unref)

/** Sets the number of bytes to be done. Called by the worker, as the next three are. */
void cst_task_set_total(CstTask *task, uint64_t total);
/** Adds to the total. */
void cst_task_add_total(CstTask *task, uint64_t more);
/** Adds bytes that were read or written. All of them count against the rate. */
void cst_task_advance(CstTask *task, uint64_t bytes);
/** Adds bytes that needed no moving (holes, shared extents) and never count against the rate. */
void cst_task_skip(CstTask *task, uint64_t bytes);
/** Returns the progress. From any thread. */
CstProgress cst_task_progress(CstTask *task);

/**
 * Limits the work to @bytes_per_s from now on; 0: no limit. cst_task_check() sleeps accordingly,
 * and ends the sleep when the task is cancelled or the rate changes.
 */
void cst_task_set_rate(CstTask *task, uint64_t bytes_per_s);
/** Returns the limit in bytes a second; 0: none. */
uint64_t cst_task_rate(CstTask *task);

/** Requests that the work stops at its next check. Async-signal-safe. */
void cst_task_cancel(CstTask *task);
/** Whether cancellation was requested. Never sleeps. */
gboolean cst_task_cancelled(CstTask *task);

/**
 * FALSE with CST_ERROR_CANCELLED once the task is cancelled. Sleeps as the rate requires. The
 * worker calls it at least every few MiB.
 */
gboolean cst_task_check(CstTask *task, GError **error);

/* --- not in the library: what the service keeps with its jobs --------------------------------- */

/**
 * Sets for whom the work is done; this process's uid and pid unless set. Before the work begins.
 */
void cst_task_set_owner(CstTask *task, uid_t uid, pid_t pid);
/** Returns for whom the work is done; this process for NULL. */
void cst_task_owner(CstTask *task, uid_t *ret_uid, pid_t *ret_pid);

/**
 * Sets whether the work waits for others. Called in the working thread; calls cst_task_on_wait()'s
 * function when that is a change.
 */
void cst_task_set_waiting(CstTask *task, gboolean waiting);
/** Whether the work waits for others. */
gboolean cst_task_waiting(CstTask *task);
/**
 * Has @func called in the working thread whenever a wait begins (TRUE) or ends (FALSE), so that the
 * owner of the thread can start another one meanwhile. @func takes short locks only; NULL: none.
 * @task must not be NULL, and the work must not have begun.
 */
void cst_task_on_wait(CstTask *task, void (*func)(gboolean waiting, gpointer data), gpointer data);

/**
 * Has @func called, in another thread, when storage that the work uses does not answer, and the
 * work may last as long as the storage likes (base/liveness.h). Waits while it is being called;
 * @func takes short locks only. NULL: nobody wants to know.
 */
void cst_task_on_stuck(CstTask *task, void (*func)(const GError *why, gpointer data),
                       gpointer data);
/** Tells whoever wants to know that the work is stuck. NULL: nothing. */
void cst_task_tell_stuck(CstTask *task, const GError *why);

/**
 * Sets the longest single wait for others, in microseconds; 0, the default: no limit. From any
 * thread.
 */
void cst_task_set_max_wait(CstTask *task, gint64 us);
/** Returns the longest wait; 0: no limit, as for NULL and once the task is detached. */
gint64 cst_task_max_wait(CstTask *task);

/**
 * Sets of which client's job the work is a part (service/client_jobs.h); 0, the default: of none.
 * Before the work begins.
 */
void cst_task_set_part_of(CstTask *task, uint64_t group);
/** Returns what cst_task_set_part_of() has set. */
uint64_t cst_task_part_of(CstTask *task);

/** Sets the kind of work, a static word such as "wipe". */
void cst_task_set_kind(CstTask *task, const char *kind);
/** Returns the kind of work; NULL while nothing has begun. */
const char *cst_task_kind(CstTask *task);

/**
 * Lets the work outlive its client and wait for others without limit: nobody waits for the answer.
 */
void cst_task_detach(CstTask *task);
/** Cancels the work because its client is gone, unless it was detached. */
void cst_task_abandon(CstTask *task);

/** Sets the number under which the work is listed as a job. */
void cst_task_set_job(CstTask *task, uint64_t id);
/** Returns the job's number; 0: not listed, or not yet. */
uint64_t cst_task_job(CstTask *task);
