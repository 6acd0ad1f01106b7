/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <glib.h>

#include <base/task.h>

/**
 * Whether storage answers that may hang in the kernel for as long as it likes (a hard NFS mount
 * whose server is gone, a disk without a path). From the first call on, a thread of its own touches
 * it every few seconds. When that gets no answer, further calls are refused at once, and the tasks
 * of those that hang already are told, so that their clients get an answer; their threads stay in
 * the kernel until it lets them go. When the probe returns, calls are let in again.
 *
 * A single call may hang although the probe returns (a file whose server is gone). Its task is told
 * when its thread has been blocked in one system call for as long as the task may wait
 * (cst_task_max_wait()).
 *
 * Storage that answers with an error is known, too (cst_liveness_works()), but calls are let in:
 * one that fails says best what it can't do, and another one may need nothing of what is broken.
 */
typedef struct CstLiveness CstLiveness;

/** How the storage is touched. */
typedef struct {
    /**
     * Touches the storage for a moment; FALSE with the error when that fails. In a thread of its
     * own, one call at a time, which may never return.
     */
    gboolean (*touch)(gpointer data, GError **error);
    gpointer data;
    GDestroyNotify free_data; /**< called when no probe uses @data any more; NULL: nothing to do */
    gint64 patience;          /**< how long a probe may take, in microseconds; 0: the default */
} CstProbe;

/** @what, for messages: "the storage of pool 'x'". Takes @probe's data over. Never NULL. */
CstLiveness *cst_liveness_new(const CstProbe *probe, const char *what);
/** Takes a reference. Returns @liveness, which may be NULL. Any thread. */
CstLiveness *cst_liveness_ref(CstLiveness *liveness);
/**
 * Drops a reference; the last one ends the probing, without waiting for a probe that hangs. No call
 * of whoever had it may be inside. NULL: nothing.
 */
void cst_liveness_unref(CstLiveness *liveness);

/** A call in the storage, kept by the caller, mostly on its stack. */
typedef struct {
    GList link;        /**< private, as is the rest */
    CstTask *task;     /**< borrowed from the thread's log context; NULL: no client waits */
    pid_t thread;      /**< whose call it is */
    guint64 switches;  /**< of that thread, when they last differed */
    gint64 blocked_at; /**< monotonic: since when they have not changed; 0: not looked at yet */
} CstLivenessCall;

/**
 * Lets a call of this thread in; FALSE with UNREACHABLE while the storage does not answer.
 * @liveness NULL: storage that never hangs.
 */
gboolean cst_liveness_enter(CstLiveness *liveness, CstLivenessCall *call, GError **error);
/** Ends a call that was let in. Keeps errno. */
void cst_liveness_leave(CstLiveness *liveness, CstLivenessCall *call);
/** FALSE with UNREACHABLE while the storage does not answer. Touches no storage. */
gboolean cst_liveness_check(CstLiveness *liveness, GError **error);
/**
 * Waits until a probe has returned, with success or an error, and none is under way; not beyond
 * @until (monotonic). FALSE with UNREACHABLE: the probe is still under way. NULL: TRUE at once. The
 * caller touches no storage, so it never hangs.
 */
gboolean cst_liveness_await(CstLiveness *liveness, gint64 until, GError **error);
/** As cst_liveness_check(), and FALSE with what the last probe failed with, too. */
gboolean cst_liveness_works(CstLiveness *liveness, GError **error);

/**
 * Called when calls hang, in another thread, after their tasks have been told: for a program that
 * can do nothing better than to end. NULL, the default: nothing.
 */
extern void (*cst_liveness_given_up)(const GError *why);

/** For tests: how long a probe may take, and the time between two, in microseconds. */
extern struct CstLivenessTimes {
    gint64 patience;
    gint64 period;
} cst_liveness_times;
