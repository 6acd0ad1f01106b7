/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/journal.h>

#include "by_name.h"
#include "core/claim.h"

/** The operation in the intent of a rename. */
#define VOLUME_RENAME "rename"

/**
 * Opens the state of the pool @name with its present definition, and verifies that the storage is
 * the recorded one.
 */
typedef CstPoolState *(*VolumeOpenPool)(CstService *service, const char *name, GError **error);

/**
 * Renames a volume that was claimed for writing and is neither open nor the base of an image. The
 * new name must be claimed as well and free. @kept: the data to keep under the new name. After a
 * crash at any point in time the replay continues.
 */
gboolean volume_rename_claimed(const VolumeClaim *claim, CstVolume *volume, const char *new_name,
                               const KeptByName *kept, GError **error);

/**
 * Completes or drops the rename of a dead process. @state: of its pool at that time
 * (recovery/replay.c). Returns FALSE if it has to be retried.
 */
gboolean volume_rename_replay(CstService *service, CstPoolState *state, VolumeOpenPool open_pool,
                              const CstIntentRecord *record, GError **error);
