/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/chains.h>
#include <service/pools.h>

/** Maximum number of layers in all chains of one answer. */
#define CST_POOL_CHAINS_LAYERS 32768

/**
 * Returns the backing chains of an active pool as CstPoolChain *, the deepest first: each volume of
 * the pool that has a declared backing file, and that no other image is based on. The layers may be
 * in other pools. *ret_limits: the limits in force. *ret_left: number of further chains, which
 * exceed CST_POOL_CHAINS_LAYERS. Opens no image. STATE if the pool is not active. Any thread.
 */
GPtrArray *cst_pool_chains(CstPool *pool, CstChainLimits *ret_limits, guint *ret_left,
                           GError **error);

/**
 * Merges a run of layers of the volume's backing chain into the volume, as a job. The content of
 * the volume stays the same at every point in time. The layers are not changed, because other
 * volumes may be based on them. A layer without a user stays as a volume, or is deleted as by
 * cst_vol_delete() if the flags say so and it is in @pool. A failed or cancelled deletion is a
 * problem of the layer in *ret, and no failure. A chain that is short enough is left as it is.
 * The base is a volume of an active pool. Without how->base, layers below it may stay, too.
 *
 * If a running domain has the volume as its disk, QEMU copies the data. After kill -9 the next
 * daemon resumes the job. Errors: NO_SPACE, which leaves the volume as it was; NOT_FOUND if
 * the volume is not based on how->base; INVALID, STATE, BUSY. The caller clears *ret.
 */
gboolean cst_vol_consolidate(CstPool *pool, const char *name, const CstVolConsolidate *how,
                             CstTask *task, CstConsolidation *ret, GError **error);
/**
 * Returns what cst_vol_consolidate() would do. Reads the tables of the images, and writes no file.
 */
gboolean cst_vol_consolidate_plan(CstPool *pool, const char *name, const CstVolConsolidate *how,
                                  CstTask *task, CstConsolidation *ret, GError **error);
