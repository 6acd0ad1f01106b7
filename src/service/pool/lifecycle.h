/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/** What cst_pool_start() does, for who has begun a change of the pool already. */
gboolean pool_start_changing(CstPool *pool, CstTask *task, GError **error);
/** Checks CstPoolCreateFlags, and builds the pool's storage when they ask for it. */
gboolean pool_create_flags_check(unsigned flags, const char *function, GError **error);
gboolean pool_build_if_asked(CstPool *pool, unsigned create_flags, GError **error);
/** Makes an active pool of one whose state is on the host already (after a restart). */
gboolean pool_adopt(CstPool *pool, GError **error);
/** Has @state make sure that the storage is the one on record for that pool (CstBackend.expect). */
gboolean pool_expect_recorded(CstService *service, const CstUuid *uuid, CstPoolState *state,
                              gboolean starting, GError **error);
