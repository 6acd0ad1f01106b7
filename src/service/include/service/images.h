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
 * Makes a new volume how->name in @pool of what the guest sees of @source: whole, or not there.
 * CONFIG when the pool can't hold the format, VOL_EXISTS.
 */
gboolean cst_vol_convert(CstPool *pool, CstPool *source_pool, const char *source,
                         const CstVolConvert *how, CstTask *task, GError **error);

/**
 * Bases the volume on another one while its guest sees the same, at every moment; with
 * CST_VOL_REBASE_UNSAFE only the reference changes. INVALID when the new one is based on it,
 * NOT_FOUND when it is no volume of an active pool.
 */
gboolean cst_vol_rebase(CstPool *pool, const char *name, const CstVolRebase *how, CstTask *task,
                        GError **error);

/** That they differ is no failure. */
gboolean cst_vol_compare(CstPool *pool, const char *name, CstPool *other_pool,
                         const char *other_name, CstTask *task, CstCompareReport *ret_report,
                         GError **error);

/** How large an image of @format with @options (NULL: none) would be that is a copy of the
 *  volume. */
gboolean cst_vol_measure(CstPool *pool, const char *name, const char *format, const char *options,
                         CstTask *task, CstMeasureReport *ret_report, GError **error);

/** The runs from offset @start on, at most @limit (0: CST_VOL_MAP_PAGE, which is the most). */
CstVolMap *cst_vol_map(CstPool *pool, const char *name, uint64_t start, guint limit, CstTask *task,
                       GError **error);

/**
 * Changes a dirty bitmap inside of the image; each step is whole or not at all. Merges take from
 * the image of @source in @source_pool (NULL: from the same image), which is BUSY when it is being
 * changed.
 */
gboolean cst_vol_bitmap(CstPool *pool, const char *name, const CstBitmapChange *change,
                        CstPool *source_pool, const char *source, CstTask *task, GError **error);

/** Elements CstVolHolder *: who has the volume open now, this process not counted. */
GPtrArray *cst_vol_holders(CstPool *pool, const char *name, GError **error);

/**
 * Elements CstChainRow *: the whole family, from what is based on nothing (level 0) down, each
 * before those that hang on it: what the volume is based on, it, what is based on it, and what
 * else is based on any of these, in whatever active pool. Opens nothing but what the pools list.
 * Rings and what is too much for one answer are told as problems of rows.
 */
GPtrArray *cst_vol_chain(CstPool *pool, const char *name, GError **error);
