/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/pool.h"

/**
 * Makes a pool active that has a state file (after a restart). @state: of its definition; NULL: the
 * definition cannot be opened, as opening it again shows. Storage that is missing, or in a daemon
 * does not answer before service->load_until, becomes a problem of the active pool. FALSE: the pool
 * is not active, and its state file is removed.
 */
gboolean pool_adopt(CstPool *pool, CstPoolState *state, GError **error);
