/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/** In a daemon: warns in its log about what has become fuller than was said. */
void pool_check_space(CstPool *pool, CstPoolState *state);
/** There was something that may run full when last checked. */
gboolean pool_has_limited_space(CstPool *pool);
