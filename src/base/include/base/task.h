/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * Progress and cancellation of a long operation. Safe from any thread. NULL is accepted everywhere
 * and means that the work is neither watched nor cancelled.
 */
typedef struct CstTask CstTask;

typedef struct {
    uint64_t done;  /**< bytes */
    uint64_t total; /**< bytes; 0 while unknown */
} CstProgress;

/** Creates a task: 0 bytes done, total unknown, not cancelled, no rate. Never NULL. */
CstTask *cst_task_new(void);
/** Returns @task with another reference. */
CstTask *cst_task_ref(CstTask *task);
/** Drops a reference; the last one frees the task. */
void cst_task_unref(CstTask *task);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTask, cst_task_unref)

/** Sets the number of bytes to process. Called by the worker, as are the next three functions. */
void cst_task_set_total(CstTask *task, uint64_t total);
/** Adds to the total. */
void cst_task_add_total(CstTask *task, uint64_t more);
/** Adds bytes that were read or written. All of them count against the rate. */
void cst_task_advance(CstTask *task, uint64_t bytes);
/** Adds bytes that were not copied (holes, shared extents) and never count against the rate. */
void cst_task_skip(CstTask *task, uint64_t bytes);
/** Returns the progress. Any thread. */
CstProgress cst_task_progress(CstTask *task);

/**
 * Limits the rate of the work from now on; 0: no limit. cst_task_check() sleeps accordingly. The
 * sleep ends when the task is cancelled or the rate changes.
 */
void cst_task_set_rate(CstTask *task, uint64_t bytes_per_s);
/** Returns the limit in bytes per second; 0: no limit. */
uint64_t cst_task_rate(CstTask *task);

/** Requests that the work stop at its next check. Async-signal-safe. */
void cst_task_cancel(CstTask *task);
/** Whether cancellation was requested. Never sleeps. */
gboolean cst_task_cancelled(CstTask *task);

/**
 * Returns FALSE with CST_ERROR_CANCELLED once the task is cancelled. Sleeps as the rate requires.
 * The worker calls it at least every few MiB.
 */
gboolean cst_task_check(CstTask *task, GError **error);

/* --- not in the library: properties that the service keeps with its jobs ---------------------- */

/**
 * Sets the user and process for which the work is done; the default is this process. Call it before
 * the work begins.
 */
void cst_task_set_owner(CstTask *task, uid_t uid, pid_t pid);
/** Returns the user and process for which the work is done; this process for NULL. */
void cst_task_owner(CstTask *task, uid_t *ret_uid, pid_t *ret_pid);

/**
 * Sets whether the work waits for another operation. Called in the working thread. Calls the
 * function of cst_task_on_wait() if the state changes.
 */
void cst_task_set_waiting(CstTask *task, gboolean waiting);
/** Whether the work waits for another operation. */
gboolean cst_task_waiting(CstTask *task);
/**
 * Sets a function that is called in the working thread when a wait begins (TRUE) or ends (FALSE),
 * so that the owner of the thread can start another thread during the wait. @func may only acquire
 * locks that are held briefly; NULL: no function. @task must not be NULL, and the work must not
 * have begun.
 */
void cst_task_on_wait(CstTask *task, void (*func)(gboolean waiting, gpointer data), gpointer data);

/**
 * Sets a function that cst_task_begin_copy() calls with @data, so that the owner of the work can
 * limit the number of copies; NULL: no function. Any thread calls @func, also several threads at a
 * time. Returns FALSE and changes nothing if the task has a function and @func is not NULL.
 */
gboolean cst_task_on_copy(CstTask *task, gboolean (*func)(gpointer data, GError **error),
                          gpointer data);
/**
 * Waits until the work may move content. Call it before the first byte is read, and before memory
 * for the content is allocated. Later calls of the same work return at once. CANCELLED if the task
 * is cancelled during the wait. Returns TRUE for NULL.
 */
gboolean cst_task_begin_copy(CstTask *task, GError **error);

/**
 * Sets a function that is called in another thread when storage that the work uses does not answer,
 * so that the work may last without limit (base/liveness.h). Waits while the function is being
 * called. @func may only acquire locks that are held briefly; NULL: no function.
 */
void cst_task_on_stuck(CstTask *task, void (*func)(const GError *why, gpointer data),
                       gpointer data);
/** Calls the function of cst_task_on_stuck(). @task may be NULL. */
void cst_task_tell_stuck(CstTask *task, const GError *why);
/** Whether cst_task_tell_stuck() was called for the task. */
gboolean cst_task_was_stuck(CstTask *task);

/**
 * Sets the longest single wait for another operation, in microseconds; 0, the default: no limit.
 * Any thread.
 */
void cst_task_set_max_wait(CstTask *task, gint64 us);
/**
 * Returns the longest wait in microseconds; 0: no limit. Returns 0 for NULL and for a detached
 * task.
 */
gint64 cst_task_max_wait(CstTask *task);

/**
 * Sets the client's job of which the work is a part (service/client_jobs.h); 0, the default: no
 * job. Call it before the work begins.
 */
void cst_task_set_part_of(CstTask *task, uint64_t group);
/** Returns the value of cst_task_set_part_of(); 0 for NULL. */
uint64_t cst_task_part_of(CstTask *task);

/** Sets the kind of work, a static word such as "wipe". */
void cst_task_set_kind(CstTask *task, const char *kind);
/** Returns the kind of work; NULL before the work begins. */
const char *cst_task_kind(CstTask *task);

/**
 * Lets the work outlive its client and wait without limit, because no client waits for the answer.
 */
void cst_task_detach(CstTask *task);
/** Cancels the work because its client has disconnected, unless it was detached. */
void cst_task_abandon(CstTask *task);

/** Sets the number under which the work is listed as a job. */
void cst_task_set_job(CstTask *task, uint64_t id);
/** Returns the job's number; 0: not (yet) listed. */
uint64_t cst_task_job(CstTask *task);
