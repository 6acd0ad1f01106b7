/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Asks how the storage of a pool is, where its technology tells, and logs a change. TRUE: it has
 * changed. Touches no storage.
 */
gboolean pool_check_health(CstPool *pool, CstPoolState *state);
