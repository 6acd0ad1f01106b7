/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/log_context.h>

/**
 * A call with a deadline into a library that may hang, and must not block its caller for ever. The
 * call runs in a thread of its own, and its arguments and results live in a struct that begins with
 * this one and is freed when both the caller and the thread have dropped their references.
 */
typedef struct CstWork CstWork;
struct CstWork {
    /** Called in a pool thread; NULL: a completion callback calls cst_work_finish(). */
    gboolean (*run)(CstWork *work, GError **error);
    void (*clear)(CstWork *work); /**< frees the members; may be NULL; called in any thread */
    const char *what;             /**< "volume 'x'", for messages; lives as long as the work */

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
/** Takes a reference. Returns @work. Any thread. */
CstWork *cst_work_ref(CstWork *work);
/** Drops a reference and frees the work with the last one. NULL is accepted. */
void cst_work_unref(CstWork *work);
/**
 * Drops a reference from a thread of the library's own. Connections and images must not be closed
 * there, so the last reference is passed to another thread.
 */
void cst_work_unref_in_callback(CstWork *work);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstWork, cst_work_unref)
/** Reports progress: the deadline starts again. Any thread. */
void cst_work_heartbeat(CstWork *work);
/** Completes work that has no run callback. Takes over @error (NULL on success). Any thread. */
void cst_work_finish(CstWork *work, gboolean result, GError *error);
/** Whether the work has ended. Any thread. */
gboolean cst_work_is_done(CstWork *work);
/**
 * Starts the work and waits for its result. UNREACHABLE when it has neither ended nor sent a
 * heartbeat for @deadline_ms; the caller must then only drop its reference, as the work still runs.
 */
gboolean cst_work_wait(CstWork *work, guint deadline_ms, GError **error);
