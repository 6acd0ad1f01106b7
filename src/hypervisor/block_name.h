/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "block_job.h"

/**
 * The name of a copy in the persistent definition of the domain. libvirt's pivot writes the path of
 * the copy there, also for a disk with type='volume'. All functions call libvirt and may hang.
 */

/**
 * Sets the names of @entry. COPY: only if the persistent definition has the disk as the volume of
 * before, by its pool and name. Each failure sets the answer.
 */
gboolean block_name_plan(BlockJob *job, const BlockRequest *request, BlockEntry *entry,
                         PauseAnswer *answer);
/** Whether the top layer of the persistent definition names the destination by pool and volume. */
gboolean block_name_is_set(const BlockEntry *entry, const CstDomainLayer *top);
/**
 * Returns the image of a persistent definition whose top layer has no path, by its names. After a
 * commit libvirt may name the base as a volume, as before the overlay. It names the destination of
 * a copy by its path.
 */
CstHypervisorPivot block_name_pivot(const BlockEntry *entry, const CstDomainLayer *top);
/**
 * Changes the persistent definition after a pivot, so that it names the copy by its pool and
 * volume. PAUSE_OTHER_IMAGE: another program has changed it. PAUSE_NO_VOLUME: libvirt does not know
 * the copy by these names, so the domain could not start.
 */
gboolean block_name_set(BlockJob *job, PauseAnswer *answer);
