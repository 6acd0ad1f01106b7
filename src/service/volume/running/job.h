/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/job.h>
#include <model/domain.h>

#include "core/claim.h"

/**
 * Checks that a block job can change a claimed volume: no domain with a managed save has it, and it
 * is at most one disk of a running domain, on top of the disk's backing files, with the format and
 * not more than the capacity of @volume. *ret_disk is that
 * disk; NULL: no running domain has the volume. The caller frees it. BUSY names the domain, the
 * reason and the next step. Fails also if libvirt runs and does not answer.
 */
gboolean running_job_find(const VolumeClaim *claim, const CstVolume *volume,
                          CstDomainDisk **ret_disk, GError **error);

/**
 * Checks that only the domain of @disk has the claimed volume @base, which is a backing file of
 * @top, the volume of the disk. BUSY names the process or the domain.
 */
gboolean running_job_check_base(const VolumeClaim *top, const VolumeClaim *base,
                                const CstDomainDisk *disk, GError **error);

/**
 * Waits until no process has a claimed volume open, which a domain has just left. BUSY names the
 * process after 10 s.
 */
gboolean running_job_await_release(const VolumeClaim *claim, GError **error);

/**
 * Begins a block job of @disk, which shows the claimed volume, and waits until it can pivot or is
 * done. The task of @claim gets the progress, limits the rate and cancels the job. The domain and
 * the volume of @request are set here, and request->transient stays set only if the domain has no
 * persistent definition. The caller ends the job.
 *
 * Return: NULL if the job has failed. *ret_pivot is the result of cst_hypervisor_job_begin()
 * or cst_hypervisor_job_end() then. Errors as these, and as cst_hypervisor_job_wait().
 */
CstHypervisorJob *running_job_start(const VolumeClaim *claim, const CstDomainDisk *disk,
                                    CstHypervisorJobRequest *request, CstHypervisorPivot *ret_pivot,
                                    GError **error);
