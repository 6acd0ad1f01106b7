/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>

/** A worker pool: threads draw pieces of a guest's bytes from one cursor and process them. */

#define CST_PIECE_MAX (G_GUINT64_CONSTANT(2) << 20) /**< recommended maximum length of a piece */

typedef struct {
    uint64_t offset, length;
    unsigned flags; /**< private to the job */
} CstPiece;

typedef struct {
    /** Run one thread for each processor, for computation. FALSE: run two threads, so that one
     * reads while the other one writes. */
    gboolean per_processor;
    /** Sets the next piece, in order. FALSE: no piece is left, or @error is set. Calls are
     * serialised. */
    gboolean (*draw)(gpointer job, CstPiece *piece, GError **error);
    /** Processes one piece. Many threads call it. @bufs: two buffers of CST_PIECE_MAX bytes that
     * belong to the thread. */
    gboolean (*work)(gpointer job, const CstPiece *piece, uint8_t *const bufs[2], GError **error);
} CstWorkersOps;

/**
 * Draws and processes pieces until no piece is left or a call fails. Returns when all threads have
 * ended. After a failure every drawn piece is still processed, and the first error is reported.
 * Checks @task before each piece; the job advances it.
 */
gboolean cst_workers_run(const CstWorkersOps *ops, gpointer job, CstTask *task, GError **error);
