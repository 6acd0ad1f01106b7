/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * The first scan of a pool of files that a daemon has started. The pool is active during this scan.
 * Operations on one volume read that volume from storage. Lists, counts and searches for overlays
 * wait for the scan.
 */

/** Returns whether a start of the pool leaves the first scan to pool_read(). */
gboolean pool_is_read_late(const CstPool *pool, CstPoolState *state);
/**
 * Announces the first scan of a pool that is about to become active. The caller runs it with
 * pool_read() and the same @task, which must not be NULL.
 */
void pool_announce_reading(CstPool *pool, CstTask *task);
/**
 * Returns a new reference to the state that the start with @task has to read. Returns NULL if there
 * is no announcement of that start.
 */
CstPoolState *pool_state_to_read(CstPool *pool, const CstTask *task);
/** Withdraws the announcement, because the pool is inactive. */
void pool_forget_reading(CstPool *pool);
/**
 * Runs the first scan of a started pool, which has @state. No effect if another scan has
 * succeeded since. Call it without a change of the pool. *ret_aborted: the pool was stopped.
 */
gboolean pool_read(CstPool *pool, CstPoolState *state, CstTask *task, gboolean *ret_aborted,
                   GError **error);
/**
 * Cancels a first scan, and waits for its end. The wait ends early when the storage does not answer
 * or the maximal wait of @task is over. Call it in a change that stops the pool.
 */
void pool_abort_reading(CstPool *pool, CstPoolState *state, CstTask *task);
/**
 * Scans the pool if its volumes are not known yet, before a search for overlays. *ret_known: the
 * table has the pool's references. FALSE: the storage cannot be read, and the references that an
 * earlier scan has recorded count (dependency/remembered.h). Fails with BUSY or CANCELLED if
 * references may be missing from the records, too.
 */
gboolean pool_scan_for_overlays(CstPool *pool, CstPoolState *state, gboolean *ret_known,
                                GError **error);
