/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <glib.h>

#include <base/task.h>

/**
 * Monitors whether storage answers that may block in the kernel without limit (a hard NFS mount
 * without its server, a disk without a path). After the first call a thread probes the storage
 * every few seconds. If the probe gets no answer, further calls are refused at once. The tasks of
 * calls that already hang are notified, so that their clients get an answer. Their threads stay in
 * the kernel until it releases them. When the probe returns, calls are admitted again.
 *
 * A single call may hang although the probe returns (a file on a server that is gone). Its task is
 * notified when its thread has been blocked in one system call for the task's longest wait
 * (cst_task_max_wait()).
 *
 * The monitor also records whether the storage returns errors (cst_liveness_works()), but such
 * storage still admits calls. A failing call reports its own error best, and another call may not
 * need the part that is broken.
 */
typedef struct CstLiveness CstLiveness;

/** How the storage is probed. */
typedef struct {
    /**
     * Accesses the storage briefly. Returns FALSE with the error on failure. Runs in a thread of
     * its own, one call at a time, and may never return.
     */
    gboolean (*touch)(gpointer data, GError **error);
    gpointer data;
    GDestroyNotify free_data; /**< called when no probe uses @data any more; may be NULL */
    gint64 patience;          /**< longest duration of a probe in microseconds; 0: the default */
} CstProbe;

/**
 * Creates a monitor. @what is for messages: "the storage of pool 'x'". Takes ownership of the data
 * of @probe. Never NULL.
 */
CstLiveness *cst_liveness_new(const CstProbe *probe, const char *what);
/** Adds a reference. Returns @liveness, which may be NULL. Any thread. */
CstLiveness *cst_liveness_ref(CstLiveness *liveness);
/**
 * Drops a reference. The last one ends the probing, without waiting for a probe that hangs. No call
 * of the reference's owner may be in progress. NULL is accepted.
 */
void cst_liveness_unref(CstLiveness *liveness);

/** A call in progress. The caller keeps it, mostly on its stack. */
typedef struct {
    GList link;        /**< private, as are the other fields */
    CstTask *task;     /**< borrowed from the thread's log context; NULL: no client waits */
    pid_t thread;      /**< the calling thread */
    guint64 switches;  /**< voluntary context switches of that thread, when they last changed */
    gint64 blocked_at; /**< monotonic time since which they have not changed; 0: not blocked at the
                          last check */
} CstLivenessCall;

/**
 * Registers a call of this thread. Returns FALSE with UNREACHABLE while the storage does not
 * answer. @liveness NULL: storage that never hangs.
 */
gboolean cst_liveness_enter(CstLiveness *liveness, CstLivenessCall *call, GError **error);
/** Ends a call that was registered. Keeps errno. */
void cst_liveness_leave(CstLiveness *liveness, CstLivenessCall *call);
/**
 * Returns FALSE with UNREACHABLE while the storage does not answer. Does not access the storage.
 */
gboolean cst_liveness_check(CstLiveness *liveness, GError **error);
/**
 * Waits until a probe has returned, with success or an error, and no probe is running; at most
 * until @until (monotonic). Returns FALSE with UNREACHABLE if a probe is still running. Returns
 * TRUE at once for NULL. Does not access the storage, so it never hangs.
 */
gboolean cst_liveness_await(CstLiveness *liveness, gint64 until, GError **error);
/** As cst_liveness_check(). Also returns FALSE, with its error, if the last probe failed. */
gboolean cst_liveness_works(CstLiveness *liveness, GError **error);

/**
 * Called in another thread when calls hang, after their tasks have been notified. For a program
 * that can only exit then. NULL, the default: not called.
 */
extern void (*cst_liveness_given_up)(const GError *why);

/** For tests: the longest duration of a probe, and the time between two, in microseconds. */
extern struct CstLivenessTimes {
    gint64 patience;
    gint64 period;
} cst_liveness_times;
