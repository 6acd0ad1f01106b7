/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>

/** Work on a guest's bytes in pieces, on several threads that draw from one cursor. */

#define CST_CREW_PIECE (G_GUINT64_CONSTANT(2) << 20) /**< the most that a piece should have */

typedef struct {
    uint64_t offset, length;
    unsigned flags; /**< the job's own */
} CstPiece;

typedef struct {
    gboolean everybody; /**< on all processors: the work is computing; else on two threads, one of
                           which reads ahead */
    /** The next piece, in order. FALSE: nothing is left, or @error is set. One thread at a time. */
    gboolean (*draw)(gpointer job, CstPiece *piece, GError **error);
    /** Many threads; each has two buffers of CST_CREW_PIECE bytes of its own. */
    gboolean (*work)(gpointer job, const CstPiece *piece, uint8_t *const bufs[2], GError **error);
} CstCrewOps;

/**
 * Draws and works until nothing is left, or something fails: then what was drawn is still finished.
 * Checks @task before each piece; the job advances it.
 */
gboolean cst_crew_run(const CstCrewOps *ops, gpointer job, CstTask *task, GError **error);
