/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/**
 * Activates a pool that has a state file, after a restart. @state: the state of its definition;
 * NULL: the definition could not be opened, and opening it again reports the error. Storage that is
 * missing, or that does not answer a daemon before service->load_until, becomes a problem of the
 * active pool. Returns FALSE if the pool is not active; its state file is removed then.
 */
gboolean pool_adopt(CstPool *pool, CstPoolState *state, const char *recorded, GError **error);
