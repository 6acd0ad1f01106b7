/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/log_context.h>

/**
 * A call with a deadline into a library that may hang, so that the caller does not block forever.
 * The call runs in a thread of its own. Its arguments and results are in a struct that begins with
 * this one. The struct is freed when both the caller and the thread have dropped their references.
 */
typedef struct CstWork CstWork;
struct CstWork {
    /** Called in a pool thread. NULL: a completion callback calls cst_work_finish() instead. */
    gboolean (*run)(CstWork *work, GError **error);
    void (*clear)(CstWork *work); /**< frees the members; may be NULL; called in any thread */
    const char *what;             /**< "volume 'x'", for messages; must live as long as the work */

    /* Private to work.c. The lock guards done, result, error and last_heartbeat. */
    GMutex lock;
    GCond cond;
    gint refs;
    gboolean done;
    gboolean result;
    GError *error;
    gint64 last_heartbeat; /* monotonic time, µs */
    CstLogContext log;     /* of the thread that made the work */
};

/** Allocates a zeroed struct of @size bytes that begins with a CstWork, with one reference. */
gpointer cst_work_new(gsize size, gboolean (*run)(CstWork *work, GError **error),
                      void (*clear)(CstWork *work));
/** Adds a reference. Returns @work. Any thread. */
CstWork *cst_work_ref(CstWork *work);
/** Drops a reference and frees the work with the last one. NULL is accepted. */
void cst_work_unref(CstWork *work);
/**
 * Drops a reference from a callback thread of the library. Connections and images must not be
 * closed in such a thread, so the last reference is passed to another thread.
 */
void cst_work_unref_in_callback(CstWork *work);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstWork, cst_work_unref)
/** Reports progress, which restarts the deadline. Any thread. */
void cst_work_heartbeat(CstWork *work);
/**
 * Completes work that has no run callback. Takes ownership of @error (NULL on success). Any thread.
 */
void cst_work_finish(CstWork *work, gboolean result, GError *error);
/** Whether the work has ended. Any thread. */
gboolean cst_work_is_done(CstWork *work);
/**
 * Starts the work and waits for its result. Fails with UNREACHABLE if the work has neither ended
 * nor sent a heartbeat for @deadline_ms. The caller must then only drop its reference, because the
 * work still runs.
 */
gboolean cst_work_wait(CstWork *work, guint deadline_ms, GError **error);
