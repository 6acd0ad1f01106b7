/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/** Number of jobs that copy into one pool at a time, unless it is set. */
#define COPY_TURNS_DEFAULT 16

/**
 * The right of a job to move content into a pool. At most service->copies jobs of a pool have it at
 * a time.
 *
 *     g_auto(CopyTurn) turn = {0};
 *
 *     copy_turn_offer(&turn, pool, task);
 *
 * The job acquires the turn when it begins to copy (cst_task_begin_copy()). So a job that shares
 * extents needs no turn. The turn is released when @turn goes out of scope.
 */
typedef struct {
    CstPool *pool; /* a reference; NULL: not offered */
    CstTask *task; /* a reference */
    GMutex lock;   /* held by the one thread of the job that waits */
    GCond cond;    /* of the pool's lock: the turn was granted */
    gboolean held; /* guarded by the pool's lock */
} CopyTurn;

/**
 * Lets @task wait for a turn of @pool before it copies. Does nothing if the task already has a turn
 * of an outer operation. @task must not be NULL.
 */
void copy_turn_offer(CopyTurn *turn, CstPool *pool, CstTask *task);
/** Releases the turn, and grants it to a waiting job. Does nothing if no turn was offered. */
void copy_turn_clear(CopyTurn *turn);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CopyTurn, copy_turn_clear)
