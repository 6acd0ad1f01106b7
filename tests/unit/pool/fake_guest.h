/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** A simulated guest that uses volumes of the simulated LVM or ZFS, as seen by the kernel. */

/** From now on LVs whose path ends with @end have the holder "the guest"; NULL: no holder. */
void fake_hold(const char *end);
/** Like fake_hold(), with a process as the holder. */
void fake_hold_by(const char *end, int64_t pid);
/** Number of writes to LVs that the kernel counts between two queries. */
extern guint fake_writes;
/** Number of queries that find a partition scan of the device in progress. */
extern guint fake_partitioned;
