/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/domain.h>
#include <model/image_report.h>
#include <service/live.h>
#include <service/pools.h>

/**
 * Operations on volumes as disk images. A backing file is followed only if it is a volume of an
 * active pool, or if it is declared.
 *
 * An operation claims all volumes that it needs from a chain until it ends. Volumes that are only
 * read can be read by other operations. A volume that is changed must have no other user, including
 * machines; else the call fails with BUSY and names the holder.
 *
 * All calls wait for claims and may take long. @task limits the wait, reports progress and cancels;
 * NULL: no limit. Callable from any thread.
 */

/**
 * Checks the image, and repairs it according to @repair (CstRepairFlags). Damage is not a failure:
 * the report counts the problems that remain. The caller frees the findings in the report.
 */
gboolean cst_vol_check(CstPool *pool, const char *name, unsigned repair, CstTask *task,
                       CstCheckReport *ret_report, GError **error);

/**
 * Copies the data of the backing chain into the volume, so that it has no backing file afterwards.
 * The image is valid at every point in time. A repeated call continues an interrupted one.
 */
gboolean cst_vol_flatten(CstPool *pool, const char *name, CstTask *task, GError **error);

/**
 * Writes all data that the chain of @name has above @base into @base. @base: a volume of that
 * chain, by name or path; NULL: the backing file of @name. @flags: CstVolCommitFlags. Fails with
 * BUSY if the content of another image would change, because it is based on one of these volumes.
 */
gboolean cst_vol_commit(CstPool *pool, const char *name, const char *base, unsigned flags,
                        CstTask *task, GError **error);

/** Returns zeroed and unused space to the pool. *ret_given_back: freed bytes. */
gboolean cst_vol_sparsify(CstPool *pool, const char *name, CstTask *task, uint64_t *ret_given_back,
                          GError **error);

/**
 * Creates the volume how->name in @pool with the guest-visible content of @source. On failure no
 * volume is left. Errors: CONFIG when the pool does not support the format, VOL_EXISTS.
 */
gboolean cst_vol_convert(CstPool *pool, CstPool *source_pool, const char *source,
                         const CstVolConvert *how, CstTask *task, GError **error);
/**
 * Likewise with the content of the live snapshot of @source in @live. Fails with NOT_FOUND if there
 * is none.
 */
gboolean cst_vol_convert_live(CstPool *pool, CstPool *source_pool, const char *source,
                              const CstVolConvert *how, CstLiveSnapshots *live, CstTask *task,
                              GError **error);

/**
 * Changes the backing file of the volume. The guest-visible content stays the same at every point
 * in time. With CST_VOL_REBASE_UNSAFE only the reference is changed. Errors: INVALID when the new
 * base depends on this volume, NOT_FOUND when it is not a volume of an active pool.
 */
gboolean cst_vol_rebase(CstPool *pool, const char *name, const CstVolRebase *how, CstTask *task,
                        GError **error);

/**
 * Compares the guest-visible contents of two volumes. A difference is not a failure: the report
 * contains it.
 */
gboolean cst_vol_compare(CstPool *pool, const char *name, CstPool *other_pool,
                         const char *other_name, CstTask *task, CstCompareReport *ret_report,
                         GError **error);

/** Computes the size of a copy of the volume in @format with @options (NULL: defaults). */
gboolean cst_vol_measure(CstPool *pool, const char *name, const char *format, const char *options,
                         CstTask *task, CstMeasureReport *ret_report, GError **error);

/**
 * Returns the extents from offset @start on, at most @limit of them. @limit 0: CST_VOL_MAP_PAGE,
 * which is also the maximum. The caller frees the map.
 */
CstVolMap *cst_vol_map(CstPool *pool, const char *name, uint64_t start, guint limit, CstTask *task,
                       GError **error);

/**
 * Changes a dirty bitmap in the image. Each step is atomic. Steps before a failed step stay in
 * effect. A merge reads bitmaps of the image @source in @source_pool (NULL: the same image). Fails
 * with BUSY if the source is being written.
 */
gboolean cst_vol_bitmap(CstPool *pool, const char *name, const CstBitmapChange *change,
                        CstPool *source_pool, const char *source, CstTask *task, GError **error);

/**
 * Returns the processes that have the volume open, as CstVolHolder *. This process is not included.
 */
GPtrArray *cst_vol_holders(CstPool *pool, const char *name, GError **error);
/**
 * cst_vol_holders() of @count volumes in one call. Returns one array of CstVolHolder * for each of
 * @names; an element is NULL if the holders are unknown: the volume does not exist, its storage
 * failed, or a limit was reached (65536 holders in the answer, 65536 uses of files that are locked
 * or open for writing). Only known volumes are queried, and a repeated name only at its first
 * place. A file that does not answer fails the whole call, like a pool that hangs. Errors:
 * CANCELLED by @task (may be NULL); failures of the pool as a whole.
 */
GPtrArray *cst_pool_vols_holders(CstPool *pool, const char *const *names, guint count,
                                 CstTask *task, GError **error);

/**
 * Returns the disks of libvirt's domains that show the volume, as CstDomainDisk *, also of domains
 * with a managed save. Empty without libvirt. Asks libvirt, which may take seconds. Fails with
 * TIMEOUT if libvirt does not answer.
 */
GPtrArray *cst_vol_domains(CstPool *pool, const char *name, CstTask *task, GError **error);

/**
 * Returns the whole dependency tree as CstChainRow *: the base images of the volume, the volume,
 * and its overlays. Includes all further overlays of these images in any active pool. Level 0 is an
 * image without a base. Each row precedes its dependents. Opens no image. Loops and exceeded limits
 * are reported as problems of rows.
 */
GPtrArray *cst_vol_chain(CstPool *pool, const char *name, GError **error);

/**
 * Exports the guest-visible content of the volume, or of a snapshot of it, over NBD. Runs until
 * @task is cancelled; cancellation is the only successful end. A writable volume is claimed and
 * locked as by a machine, so that other users fail with BUSY at once. The socket belongs to the
 * owner of the task: only that user and root can connect. DENIED if the owner is not the user of
 * this process and names keys for TLS.
 */
gboolean cst_vol_serve(CstPool *pool, const char *name, const CstVolServe *how, CstTask *task,
                       GError **error);
