/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <store/trash.h>

#include "core/claim.h"

/**
 * Returns the number of days for which the pool keeps deleted volumes. 0: the pool has no trash. A
 * new setting applies once it is defined.
 */
guint trash_days(CstPool *pool);
/** Returns a new hidden name for volume @name in its pool. The caller frees it. */
char *trash_name_of(const char *name);
/**
 * Moves a claimed volume, which must not be open, to the trash. BUSY if a volume outside of the
 * trash depends on it, or if it has snapshots and @flags do not request their deletion.
 */
gboolean trash_volume(VolumeClaim *claim, CstVolume *volume, unsigned flags, guint days,
                      GError **error);
/** Returns the present time, in seconds since 1970. */
int64_t trash_now_s(void);
/** Returns the records of the pool (CstTrashed *), the oldest first. */
GPtrArray *trash_records(CstPool *pool, GError **error);
/**
 * Finds a record by id, or by an unambiguous former name. NO_VOL, or INVALID if several volumes
 * had the name. The result is borrowed from @records.
 */
const CstTrashed *trash_find_record(CstPoolState *state, const GPtrArray *records,
                                    const char *which, GError **error);
/**
 * Removes the volumes after the end of their retention, and logs failures. Does nothing in a dry
 * run.
 */
void trash_expire(CstPool *pool, CstPoolState *state);
