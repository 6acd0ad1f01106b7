/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** A guest of the played LVM's or ZFS's volumes, as the kernel knows of it. */

/** From now on LVs whose path ends with @end have a holder, "the guest"; NULL: none has. */
void fake_hold(const char *end);
/** The same by a process. */
void fake_hold_by(const char *end, int64_t pid);
/** So many writes the kernel counts to LVs between two looks at its count. */
extern guint fake_writes;
/** So many looks at a device find that its partitions are looked for. */
extern guint fake_partitioned;
