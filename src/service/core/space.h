/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/** Warns in a daemon's log about space that has become fuller than warned of. Touches storage. */
void pool_check_space(CstPool *pool, CstPoolState *state);
/** Whether the last check found space that may run full. */
gboolean pool_has_limited_space(CstPool *pool);
