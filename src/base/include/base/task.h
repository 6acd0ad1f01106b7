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

/** Steps up to this count against the rate; larger ones skip or share, and move nothing. */
#define CST_TASK_STEP_MAX (8u << 20)

/** Nothing done, total unknown, not cancelled, no rate. */
CstTask *cst_task_new(void);
/** Returns @task, with a reference more. */
CstTask *cst_task_ref(CstTask *task);
/** Frees it with the last reference. */
void cst_task_unref(CstTask *task);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTask, cst_task_unref)

/** How much there is to do; for whoever does the work, as are the next two. */
void cst_task_set_total(CstTask *task, uint64_t total);
/** There is more to do than was thought. */
void cst_task_add_total(CstTask *task, uint64_t more);
/** So much more is done. */
void cst_task_advance(CstTask *task, uint64_t bytes);
/** The same for bytes that needed no moving (holes, shared extents): never against the rate. */
void cst_task_skip(CstTask *task, uint64_t bytes);
/** How far the work has come; for whoever watches it from another thread. */
CstProgress cst_task_progress(CstTask *task);

/**
 * At most so many bytes a second from now on; 0: as fast as it goes. It is cst_task_check() that
 * holds the work back, and that ends the waiting when the task is cancelled or the rate changes.
 */
void cst_task_set_rate(CstTask *task, uint64_t bytes_per_s);
/** The same; 0: not limited. */
uint64_t cst_task_rate(CstTask *task);

/** Asks the work to stop at its next check. Async-signal-safe. */
void cst_task_cancel(CstTask *task);
/** Whether that was asked; never holds back. */
gboolean cst_task_cancelled(CstTask *task);

/** FALSE with CST_ERROR_CANCELLED once cancelled; workers call it at least every few MiB. */
gboolean cst_task_check(CstTask *task, GError **error);

/* --- not in the library: what the service keeps with its jobs --------------------------------- */

/** For whom it is done; uid and pid of this process unless set. Before the work begins. */
void cst_task_set_owner(CstTask *task, uid_t uid, pid_t pid);
void cst_task_owner(CstTask *task, uid_t *ret_uid, pid_t *ret_pid);

/** It waits for its turn, or no longer. */
void cst_task_set_waiting(CstTask *task, gboolean waiting);
gboolean cst_task_waiting(CstTask *task);
/**
 * Has @func called in the working thread whenever a wait begins (TRUE) or ends (FALSE), so that
 * whoever lent the thread can lend another one. @func takes short locks only. Before the work
 * begins.
 */
void cst_task_on_wait(CstTask *task, void (*func)(gboolean waiting, gpointer data), gpointer data);

/** Longest single wait for others, in microseconds; 0, as it begins: no limit. From any thread. */
void cst_task_set_max_wait(CstTask *task, gint64 us);
gint64 cst_task_max_wait(CstTask *task);

/** What it does, a static word such as "wipe"; NULL while nothing has begun. */
void cst_task_set_kind(CstTask *task, const char *kind);
const char *cst_task_kind(CstTask *task);

/** Nobody waits for the answer on purpose: lets the work outlive its client, waits without limit.
 */
void cst_task_detach(CstTask *task);
/** Its client is gone: cancels it, unless it was detached. */
void cst_task_abandon(CstTask *task);

/** The number under which the work is listed as a job; 0: not, or not yet. */
void cst_task_set_job(CstTask *task, uint64_t id);
uint64_t cst_task_job(CstTask *task);
