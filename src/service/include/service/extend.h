/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/growth.h>
#include <service/pools.h>

/** The automatic extension of spaces of pools (CstAutoextend). Any thread. */

/**
 * Returns the spaces of a pool that can be extended, as CstGrowth; the first one is the group. The
 * array is empty if the pool is not active. *ret_problem: why a daemon cannot extend a space whose
 * use has reached the threshold, or NULL; the caller frees it. NO_SUPPORT if the pool's type has
 * no such spaces.
 */
GPtrArray *cst_pool_growths(CstPool *pool, char **ret_problem, GError **error);

/**
 * Extends the spaces of all active pools with the setting, until cst_extender_stop(). Each such
 * pool has a thread, so that storage that hangs delays only its own pool. A daemon has one
 * extender.
 */
typedef struct CstExtender CstExtender;
CstExtender *cst_extender_start(CstService *service);
/** Waits for a running extension, and frees the extender. NULL is accepted. */
void cst_extender_stop(CstExtender *extender);
