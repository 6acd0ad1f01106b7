/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/pool.h>
#include <service/snapshots.h>

/** Returns the snapshot @name of a list, borrowed; NULL: there is none. */
const CstSnapshot *volume_snapshot_find(const GPtrArray *snapshots, const char *name);
