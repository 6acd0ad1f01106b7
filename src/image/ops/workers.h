/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>

/** A worker pool: threads draw pieces of a guest's bytes from one cursor and process them. */

#define CST_PIECE_MAX (G_GUINT64_CONSTANT(2) << 20) /**< the most that a piece should have */

typedef struct {
    uint64_t offset, length;
    unsigned flags; /**< the job's own */
} CstPiece;

typedef struct {
    /** One thread for each processor, for work that computes; else two, so that one reads while
     * the other one writes. */
    gboolean per_processor;
    /** Sets the next piece, in order. FALSE: nothing is left, or @error is set. Calls are
     * serialised. */
    gboolean (*draw)(gpointer job, CstPiece *piece, GError **error);
    /** Processes one piece; called by many threads. @bufs: two buffers of CST_PIECE_MAX bytes that
     * belong to the thread. */
    gboolean (*work)(gpointer job, const CstPiece *piece, uint8_t *const bufs[2], GError **error);
} CstWorkersOps;

/**
 * Draws and processes pieces until nothing is left or something fails, and returns when all threads
 * have ended. After a failure every drawn piece is still processed; the first error is reported.
 * Checks @task before each piece; the job advances it.
 */
gboolean cst_workers_run(const CstWorkersOps *ops, gpointer job, CstTask *task, GError **error);
