/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/backup.h>
#include <hypervisor/job.h>
#include <model/domain.h>
#include <service/snapshots.h>

#include "claim.h"

/*
 * libvirt's domains that use a volume. A question starts a helper process and may take seconds, so
 * lists do not ask. The caller holds no lock. It may hold claims, because libvirt's look-ups of
 * volumes do not need claims.
 */

/**
 * Returns the disks that show the volume, as CstDomainDisk *; empty without libvirt. Fails as
 * cst_hypervisor_find(), and with CONFIG if the setting "hypervisor" of cisternd.conf is wrong.
 */
GPtrArray *volume_domains(CstPool *pool, CstPoolState *state, const char *name, CstTask *task,
                          GError **error);

/**
 * Checks that no domain uses a claimed volume, before its content or its name changes. Call it
 * after a check for processes: a domain with a managed save has none. BUSY names the domain and the
 * next step. Fails also if libvirt runs and does not answer.
 */
gboolean volume_not_in_domain(const VolumeClaim *claim, GError **error);
/**
 * Like volume_not_in_domain(), for a change that running domains permit. *ret_running has their
 * disks, as CstDomainDisk *. The caller frees it.
 */
gboolean volume_not_saved(const VolumeClaim *claim, GPtrArray **ret_running, GError **error);

/**
 * Checks whether a disk of a running domain can grow with the claimed volume, or grows it, as
 * cst_hypervisor_resize(). Sets disk->uri, uuid and target from @found. A volume without a file or
 * device of this host is CST_DISK_GONE. A change fails then.
 */
gboolean volume_domain_resize(const VolumeClaim *claim, const CstDomainDisk *found,
                              CstHypervisorDisk *disk, CstDiskFitness *ret_fitness,
                              uint64_t *ret_capacity, gboolean *ret_sent, GError **error);

/** Returns the identity of a claimed volume. Its texts are borrowed from @claim. */
CstHypervisorVolume volume_domain_identity(const VolumeClaim *claim);

/**
 * Begins a pause of the domain that has @disk. @volumes: the identities of @count claimed volumes,
 * which are disks of the domain. The task of @claim may wait. Fails as
 * cst_hypervisor_pause_begin().
 */
CstHypervisorPause *volume_domain_pause(const VolumeClaim *claim, const CstDomainDisk *disk,
                                        const CstHypervisorVolume *volumes, guint count,
                                        GError **error);
/** Returns the identities of volumes, whose texts are borrowed. The caller frees the array. */
CstHypervisorVolume *volumes_identify(const CstSnapshotVolume *volumes, guint count,
                                      GError **error);
/**
 * Begins a backup job of the running domain that has @disk and the @count @volumes as its disks.
 * @checkpoints: its checkpoints. Errors as cst_hypervisor_backup_begin(). The caller holds no
 * claim.
 */
CstHypervisorBackup *domain_backup_begin(CstService *service, const CstDomainDisk *disk,
                                         const CstHypervisorVolume *volumes, guint count,
                                         const CstLiveRequest *checkpoints, CstTask *task,
                                         CstHypervisorPauseResult *ret_result, GError **error);
/**
 * Begins a block job of @disk, which shows the claimed volume. Sets the domain, the volume, the
 * rate and the directory of @request; they are valid during this call. The task of @claim may wait.
 * Fails as cst_hypervisor_job_begin().
 */
CstHypervisorJob *volume_domain_job(const VolumeClaim *claim, const CstDomainDisk *disk,
                                    CstHypervisorJobRequest *request, CstHypervisorPivot *ret_pivot,
                                    GError **error);
/**
 * Resumes and thaws the domains that a dead process has left suspended, and ends its backup and
 * block jobs. Logs failures.
 */
void domains_recover(CstService *service);

/**
 * Appends the domains that use a claimed volume, and the next step, to the message of *@error, a
 * refusal because the volume is open. Leaves the message unchanged if there is no domain. Like
 * g_prefix_error(), does nothing if @error is NULL.
 */
void volume_explain_domains(const VolumeClaim *claim, GError **error);

/** Frees the state of this file. */
void domains_free(CstService *service);
