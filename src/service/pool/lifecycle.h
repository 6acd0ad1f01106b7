/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/**
 * Starts the pool as cst_pool_start() does; the caller has begun a change of it. STATE when it is
 * active.
 */
gboolean pool_start_changing(CstPool *pool, CstTask *task, GError **error);
/**
 * Marks an inactive pool as starting; the caller has begun a change of it. @def, which is taken
 * over, is in force until the pool is inactive again; NULL: the pool's own. pool_start_changing()
 * does this, too, and ends it; a caller that does not get that far calls pool_abandon_start().
 */
void pool_set_starting(CstPool *pool, CstPoolDef *def);
/** Takes back what a start that has failed has changed in memory. */
void pool_abandon_start(CstPool *pool);
/**
 * Makes the pool inactive in memory: its table and sizes are forgotten, and a definition that was
 * kept for the next start is in force.
 */
void pool_set_inactive(CstPool *pool);
/** Checks CstPoolCreateFlags; @function is libvirt's name of the call, for the message. */
gboolean pool_create_flags_check(unsigned flags, const char *function, GError **error);
/**
 * Builds the storage when the flags say so; the caller has begun a change of the pool, which is
 * inactive.
 */
gboolean pool_build_if_asked(CstPool *pool, unsigned create_flags, GError **error);
/** Takes the state over into the pool; from here on everybody sees it active. */
void pool_set_active(CstPool *pool, CstPoolState *state);
/**
 * Records what cst_pool_state_identity() returned; NULL: nothing. A failure is logged: without a
 * record the next start accepts the storage that it finds.
 */
void pool_record_identity(CstPool *pool, const char *identity);
/**
 * Has @state verify that the storage is the one on record for the pool @uuid (CstBackend.expect).
 * @starting: the call is part of a start.
 */
gboolean pool_expect_recorded(CstService *service, const CstUuid *uuid, CstPoolState *state,
                              gboolean starting, GError **error);
