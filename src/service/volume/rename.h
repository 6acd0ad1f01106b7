/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/journal.h>

#include "by_name.h"
#include "core/claim.h"

/** The operation of a rename's intent. */
#define VOLUME_RENAME "rename"

/** Opens a state of the pool @name as it is defined, on the storage on record for it. */
typedef CstPoolState *(*VolumeOpenPool)(CstService *service, const char *name, GError **error);

/**
 * Gives a volume that was claimed for writing, that nobody has open and no image is based on, a
 * name that was claimed as well and is free. @kept is what is kept of it by the new name. Survives
 * a crash at any moment: the replay goes on from there.
 */
gboolean volume_rename_claimed(const VolumeClaim *claim, CstVolume *volume, const char *new_name,
                               const KeptByName *kept, GError **error);

/**
 * Completes or forgets the rename that a dead process has left, with @state of the pool as it was
 * then (recovery/replay.c). FALSE: it is to be tried again.
 */
gboolean volume_rename_replay(CstService *service, CstPoolState *state, VolumeOpenPool open_pool,
                              const CstIntentRecord *record, GError **error);
