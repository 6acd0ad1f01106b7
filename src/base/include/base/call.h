/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <glib.h>

#include <base/liveness.h>
#include <base/log.h>

/**
 * A call through a vtable, for the dispatchers of storage backends, blobs and image formats. A
 * dispatcher enforces the callee's contract and logs the call when it ends.
 *
 * The contract: a callee that fails sets its error. A callee that succeeds sets no error and
 * returns the result that its slot promises. A callee that breaks the contract causes an INTERNAL
 * error that names callee and slot, and never an abort, so that other pools and images are not
 * affected.
 *
 * With debug on, a call is one line: "dir.vol_delete 'pool' 'volume': 12 us, done". The line has
 * the range "offset+length" if the call has one. On failure it has the error's message in place of
 * "done".
 */
typedef struct {
    const char *kind;   /**< kind of the callee: "dir", "file", "qcow2" */
    const char *noun;   /**< class of the callee: "backend", "blob", "format" */
    const char *slot;   /**< the member of the vtable */
    const char *object; /**< the pool, blob or image; NULL: the call is for no object */
    const char *part;   /**< a part of the object, such as a volume; NULL: all of it */
    gboolean has_range; /**< @offset and @length are set */
    uint64_t offset, length;
    gint64 began;           /**< monotonic microseconds; 0: the call is not logged */
    GError *why;            /**< passed to the callee, which sets it on failure */
    CstLiveness *liveness;  /**< private: set by cst_call_enter() until the call ends */
    CstLivenessCall inside; /**< private, as @liveness */
} CstCall;

/** Returns the value of CstCall.began for a call that begins now. */
static inline gint64 cst_call_now(void)
{
    return cst_log_enabled(CST_LOG_DEBUG) ? g_get_monotonic_time() : 0;
}

/**
 * Registers a call with the monitor of storage that may hang, directly before the callee is called.
 * @liveness NULL: the storage never hangs.
 *
 * Returns FALSE while the storage does not answer, with UNREACHABLE in call->why as if the callee
 * had failed. The caller ends @call in both cases, and keeps it at the same address until then.
 */
gboolean cst_call_enter(CstCall *call, CstLiveness *liveness);

/**
 * Ends a call that returned @done: logs it and moves its error to @error. Also returns FALSE if the
 * callee broke its contract; the caller then drops the results of the call.
 */
gboolean cst_call_end(CstCall *call, gboolean done, GError **error);

/**
 * Ends a call that broke its slot's promise: sets INTERNAL with @what ("returned no path") and
 * drops the callee's error. Always returns FALSE.
 */
gboolean cst_call_broken(CstCall *call, const char *what, GError **error);

/** Ends a call that cannot fail. */
void cst_call_trace(CstCall *call, gboolean done);
