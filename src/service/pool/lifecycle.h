/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/**
 * Starts the pool as cst_pool_start() does. The caller has begun a change of the pool. STATE if it
 * is active.
 */
gboolean pool_start_changing(CstPool *pool, CstTask *task, GError **error);
/**
 * Runs the first scan of a pool that pool_start_changing() has started with @task, unless the start
 * has scanned it. Call it after the change of the pool. If the scan fails, the pool is stopped.
 */
gboolean pool_read_started(CstPool *pool, CstTask *task, GError **error);
/**
 * Marks an inactive pool as starting. The caller has begun a change of the pool. @def (consumed) is
 * in force until the pool is inactive again; NULL: the pool's own definition. pool_start_changing()
 * calls this itself and ends the state. A caller that fails before pool_start_changing() calls
 * pool_abandon_start().
 */
void pool_set_starting(CstPool *pool, CstPoolDef *def);
/** Reverts the changes in memory of a failed start. */
void pool_abandon_start(CstPool *pool);
/**
 * Makes the pool inactive in memory: clears its table and sizes. A definition for the next start is
 * in force from now on.
 */
void pool_set_inactive(CstPool *pool);
/** Checks CstPoolCreateFlags. @function: libvirt's name of the call, for the message. */
gboolean pool_create_flags_check(unsigned flags, const char *function, GError **error);
/**
 * Builds the storage if the flags request it. The caller has begun a change of the pool, which is
 * inactive.
 */
gboolean pool_build_if_asked(CstPool *pool, unsigned create_flags, GError **error);
/**
 * Activates the pool with @state, of which it acquires a reference. From here on other threads see
 * an active pool.
 */
void pool_set_active(CstPool *pool, CstPoolState *state);
/**
 * Records the result of cst_pool_state_identity(). Does nothing if it is NULL. A failure is logged:
 * without a record the next start accepts any storage.
 */
void pool_record_identity(CstPool *pool, const char *identity);
/**
 * Verifies that the storage of @state is the recorded one of the pool @uuid (CstBackend.expect).
 * @starting: the call is part of a start.
 */
gboolean pool_expect_recorded(CstService *service, const CstUuid *uuid, CstPoolState *state,
                              gboolean starting, GError **error);
