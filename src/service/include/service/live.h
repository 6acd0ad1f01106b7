/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <model/snapshot.h>
#include <service/service.h>
#include <service/snapshots.h>

/**
 * Live snapshots: the content of the disks of a running domain at one point in time, which QEMU
 * keeps while a backup job of libvirt runs. They need no support by the format or the pool. They
 * are read like other snapshots (cst_vol_send()), are in no list, and belong to one connection. All
 * functions may be called from any thread.
 */

/** The live snapshots of one connection. */
typedef struct CstLiveSnapshots CstLiveSnapshots;

/** Creates the empty table of a connection. Never returns NULL. */
CstLiveSnapshots *cst_live_snapshots_new(CstService *service);
/**
 * The connection has ended: ends all of its live snapshots, and refuses new ones. Does not wait for
 * libvirt.
 */
void cst_live_snapshots_close(CstLiveSnapshots *live);
/** Closes and frees the table. NULL is accepted. */
void cst_live_snapshots_free(CstLiveSnapshots *live);

/**
 * Begins live snapshots, whose name begins with CST_LIVE_PREFIX, of the @count @volumes, which must
 * be disks of one running domain. Its file systems are frozen meanwhile if its agent answers. The
 * guest stands no longer than libvirt needs to begin the job. *ret_set: as of
 * cst_vol_snapshot_create_set(), with one_step. cst_vol_changed() reports the changes of a volume
 * since its base, and the identity of the new checkpoint. A checkpoint that libvirt refuses does
 * not make the call fail. The caller holds no lock and no claim.
 *
 * Return: FALSE with NOT_FOUND if a volume is no disk of a running domain, with INVALID if the
 * volumes are disks of several domains, with EXISTS if the name is in use, and with STATE if the
 * consistency is worse than requested. BUSY, NO_SPACE, TIMEOUT and FAILED as
 * cst_hypervisor_backup_begin(). DRY_RUN in a dry run, after the domain was found.
 */
gboolean cst_live_snapshots_create(CstLiveSnapshots *live, const CstSnapshotVolume *volumes,
                                   guint count, const CstLiveRequest *request, CstTask *task,
                                   CstSnapshotSet *ret_set, GError **error);
/**
 * Ends the live snapshots with this name, for all of their volumes. Waits for up to five seconds.
 * Fails with NOT_FOUND.
 */
gboolean cst_live_snapshots_end(CstLiveSnapshots *live, const char *name, GError **error);
