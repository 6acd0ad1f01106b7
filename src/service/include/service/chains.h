/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/chains.h>
#include <service/pools.h>

/** Maximum number of layers in all chains of one answer. */
#define CST_POOL_CHAINS_LAYERS 65536

/**
 * Returns the backing chains of an active pool as CstPoolChain *, the deepest first: each volume of
 * the pool that has a declared backing file, and that no other image is based on. The layers may be
 * in other pools. *ret_limits: the limits in force. *ret_left: number of further chains, which
 * exceed CST_POOL_CHAINS_LAYERS. Opens no image. STATE if the pool is not active. Any thread.
 */
GPtrArray *cst_pool_chains(CstPool *pool, CstChainLimits *ret_limits, guint *ret_left,
                           GError **error);
