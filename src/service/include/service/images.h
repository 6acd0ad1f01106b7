/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/image_report.h>
#include <service/pools.h>

/**
 * Work on volumes as images. Backing files are followed only as far as they are volumes of active
 * pools, or are declared. What a call needs of a chain stays claimed while it works: what is read
 * may be read by others, what is changed is used by nobody else, machines included (BUSY names the
 * holder).
 *
 * All calls wait for claims and may take long: @task (NULL: nobody) limits the wait, reports
 * progress and cancels. From any thread.
 */

/**
 * Checks and, by @repair (CstRepairFlags), repairs the image. Damage found is no failure; the
 * report counts what is left. The caller frees the findings.
 */
gboolean cst_vol_check(CstPool *pool, const char *name, unsigned repair, CstTask *task,
                       CstCheckReport *ret_report, GError **error);

/**
 * Makes the volume independent of what it is based on. The image is valid at every moment; a
 * repetition continues.
 */
gboolean cst_vol_flatten(CstPool *pool, const char *name, CstTask *task, GError **error);

/**
 * Writes all data that the chain of @name has above @base into @base, a volume of that chain (a
 * name, or a path; NULL: the one directly below). BUSY when others are based on what would change
 * under them. @flags: CstVolCommitFlags.
 */
gboolean cst_vol_commit(CstPool *pool, const char *name, const char *base, unsigned flags,
                        CstTask *task, GError **error);

/** Gives zeroes and unused space back to the pool. *ret_given_back: bytes. */
gboolean cst_vol_sparsify(CstPool *pool, const char *name, CstTask *task, uint64_t *ret_given_back,
                          GError **error);

/**
 * Makes a new volume how->name in @pool with what the guest of @source sees: whole, or not at all.
 * CONFIG when the pool can't hold the format; VOL_EXISTS.
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

/** Compares what the guests of two volumes see. A difference is no failure but a report. */
gboolean cst_vol_compare(CstPool *pool, const char *name, CstPool *other_pool,
                         const char *other_name, CstTask *task, CstCompareReport *ret_report,
                         GError **error);

/** Measures how large a copy of the volume in @format with @options (NULL: none) would be. */
gboolean cst_vol_measure(CstPool *pool, const char *name, const char *format, const char *options,
                         CstTask *task, CstMeasureReport *ret_report, GError **error);

/**
 * Returns the runs from offset @start on, at most @limit (0: CST_VOL_MAP_PAGE, which is the
 * maximum). The caller frees the map.
 */
CstVolMap *cst_vol_map(CstPool *pool, const char *name, uint64_t start, guint limit, CstTask *task,
                       GError **error);

/**
 * Changes a dirty bitmap inside of the image; each step is done as a whole or not at all, and those
 * before a failed one stay done. Merges take from the image of @source in @source_pool (NULL: from
 * the same image), which is BUSY when it is being changed.
 */
gboolean cst_vol_bitmap(CstPool *pool, const char *name, const CstBitmapChange *change,
                        CstPool *source_pool, const char *source, CstTask *task, GError **error);

/** Returns who has the volume open now as CstVolHolder *, without this process. */
GPtrArray *cst_vol_holders(CstPool *pool, const char *name, GError **error);

/**
 * Returns the whole family as CstChainRow *, from what is based on nothing (level 0) down, each
 * before its dependents: what the volume is based on, the volume, what is based on it, and what
 * else is based on any of these in any active pool. Opens no image. Rings, and what is too much for
 * one answer, are problems of rows.
 */
GPtrArray *cst_vol_chain(CstPool *pool, const char *name, GError **error);

/**
 * Serves what a guest sees of the volume, or of a snapshot of it, by the NBD protocol until @task
 * is cancelled, which is the only way to end well. A volume that is written to is claimed and
 * locked as by a machine: others are BUSY at once. The socket is made in the name of the task's
 * owner, for him and root.
 */
gboolean cst_vol_serve(CstPool *pool, const char *name, const CstVolServe *how, CstTask *task,
                       GError **error);
