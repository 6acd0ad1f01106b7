/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/image_report.h>
#include <service/pools.h>

/**
 * Work on the images that volumes are. Backing files are followed only as far as they are volumes
 * of active pools; all that a call needs of a chain is held while it works: what is read for
 * others to read, what is changed for nobody else, machines included (BUSY names the holder).
 */

/** @repair: CstRepairFlags. Finding damage is no failure; the report tells what is left. */
gboolean cst_vol_check(CstPool *pool, const char *name, unsigned repair, CstTask *task,
                       CstCheckReport *ret_report, GError **error);

/** Makes it independent of what it is based on; valid at every moment, and may be begun again. */
gboolean cst_vol_flatten(CstPool *pool, const char *name, CstTask *task, GError **error);

/**
 * Pushes what it holds down into the volume @base of its chain (a name, or a path; NULL: the one
 * directly below). BUSY when others are based on what would change under them. @flags:
 * CstVolCommitFlags.
 */
gboolean cst_vol_commit(CstPool *pool, const char *name, const char *base, unsigned flags,
                        CstTask *task, GError **error);

/** Gives zeroes and unused space back to the pool. */
gboolean cst_vol_sparsify(CstPool *pool, const char *name, CstTask *task, uint64_t *ret_given_back,
                          GError **error);

/**
 * Elements CstChainRow *: what the volume is based on, it, and what is based on it, each before
 * those that hang on it. Opens nothing but what the pools list.
 */
GPtrArray *cst_vol_chain(CstPool *pool, const char *name, GError **error);
