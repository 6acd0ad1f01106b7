/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypervisor/hypervisor.h>
#include <pool/volume.h>

/*
 * The disk of a running domain that shows a volume, and the reasons why it cannot be changed. All
 * functions that return gboolean here return FALSE with BUSY.
 */

/**
 * Decides by the first answer of libvirt, so that most refusals need no second question:
 * CST_DISK_ABOVE_VOLUME, SHAREABLE, READ_ONLY, STOPPED or FIT.
 */
CstDiskFitness running_disk_fitness(const CstDomainDisk *disk);
/** Returns the bytes of a disk with @capacity bytes: QEMU rounds them up to sectors. */
uint64_t running_disk_bytes(uint64_t capacity);
/**
 * Returns the question whether the disk of @volume has @bytes, or can grow to them. @format: of the
 * content that the guest sees as its disk; NULL: raw. Borrows @format.
 */
CstHypervisorDisk running_disk_question(const CstVolume *volume, const char *format,
                                        uint64_t bytes);
/** Names the domain, the disk, the reason and the next step. */
gboolean running_disk_refuse(const CstDomainDisk *disk, const char *volume, CstDiskFitness fitness,
                             GError **error);
/** Names two of @disks, which are the CstDomainDisk * of a volume that several disks show. */
gboolean running_disks_refuse(const GPtrArray *disks, const char *volume, GError **error);
