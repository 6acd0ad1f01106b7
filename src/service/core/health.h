/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Queries the health of a pool's storage, if its technology reports it, and logs a change. Returns
 * TRUE if the level has changed. Does no storage I/O.
 */
gboolean pool_check_health(CstPool *pool, CstPoolState *state);
