/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/domain.h>

#include "core/claim.h"

/**
 * Checks before a claimed volume grows to @capacity bytes, which are not less than it has, that no
 * domain with a managed save has it, and that a running domain can learn the new size. *ret_disk is
 * the disk that running_disk_grow() has to grow; NULL: no domain must learn the size. The caller
 * frees it. BUSY names the domain, the reason and the next step. If @capacity is that of the
 * volume, *ret_disk is only set if the guest's disk is smaller, and a disk that cannot grow is
 * no error.
 */
gboolean running_disk_find(const VolumeClaim *claim, const CstVolume *volume, uint64_t capacity,
                           unsigned flags, CstDomainDisk **ret_disk, GError **error);

/**
 * Grows a claimed volume and the disk of the domain that has it. Returns FALSE with the step that
 * failed. After a failure, or a kill at any time, a call with the capacity that the error names
 * finishes the work: that of a file is rounded up to sectors, and that of a device is its present
 * size. A difference would be added twice.
 */
gboolean running_disk_grow(const VolumeClaim *claim, const CstVolume *volume,
                           const CstDomainDisk *found, uint64_t capacity, GError **error);
