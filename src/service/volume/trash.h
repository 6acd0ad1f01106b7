/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/claim.h"

/** For how many days the pool keeps deleted volumes; 0: it does not. Counts once it is defined. */
guint trash_days(CstPool *pool);
/** A new name that is no volume's for volume @name, in its pool; free it. */
char *trash_name_of(const char *name);
/**
 * Puts a claimed volume that nobody has open into the trash; BUSY while anything depends on it, or
 * it has snapshots and @flags do not agree to their deletion.
 */
gboolean trash_volume(VolumeClaim *claim, CstVolume *volume, unsigned flags, guint days,
                      GError **error);
/** Removes what has been kept for its days; failures are logged. Nothing in a dry run. */
void trash_expire(CstPool *pool, CstPoolState *state);
