/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include <glib.h>

#include <base/liveness.h>
#include <base/log.h>

/**
 * One call through a vtable, for the dispatchers of storage backends, blobs and image formats,
 * which enforce the callee's contract and log the call when it ends.
 *
 * The contract: a call that fails has set its error; one that succeeds has set none and has
 * returned what its slot promises. A callee that breaks it causes an INTERNAL error that names
 * callee and slot, never an abort: other pools and images are not affected.
 *
 * With debug on, a call is one line: "dir.vol_delete 'pool' 'volume': 12 us, done", with the range
 * "offset+length" where there is one, and with the error's message in place of "done" for a
 * failure.
 */
typedef struct {
    const char *kind;   /**< of the callee: "dir", "file", "qcow2" */
    const char *noun;   /**< what it is: "backend", "blob", "format" */
    const char *slot;   /**< the member of the vtable */
    const char *object; /**< the pool, blob or image; NULL: a call without one */
    const char *part;   /**< of the object, such as a volume; NULL: all of it */
    gboolean has_range; /**< @offset and @length are set */
    uint64_t offset, length;
    gint64 began;           /**< monotonic microseconds; 0: the call is not logged */
    GError *why;            /**< passed to the callee, which sets it on failure */
    CstLiveness *liveness;  /**< private: cst_call_enter()'s, until the call ends */
    CstLivenessCall inside; /**< the same */
} CstCall;

/** Returns the value of CstCall.began for a call that begins now. */
static inline gint64 cst_call_now(void)
{
    return cst_log_enabled(CST_LOG_DEBUG) ? g_get_monotonic_time() : 0;
}

/**
 * Lets a call into storage that may hang (@liveness NULL: it never does), right before the callee
 * is called. FALSE, with UNREACHABLE in call->why as if the callee had failed, while the storage
 * does not answer. @call is ended in any case, and stays where it is until then.
 */
gboolean cst_call_enter(CstCall *call, CstLiveness *liveness);

/**
 * Ends a call that returned @done: logs it and moves its error to @error. Also FALSE when the
 * callee broke its contract; the caller then drops what the call has returned.
 */
gboolean cst_call_end(CstCall *call, gboolean done, GError **error);

/**
 * Ends a call that broke its slot's promise: sets INTERNAL with @what ("returned no path"), drops
 * the callee's error. Always FALSE.
 */
gboolean cst_call_broken(CstCall *call, const char *what, GError **error);

/** Ends a call that cannot fail. */
void cst_call_trace(CstCall *call, gboolean done);
