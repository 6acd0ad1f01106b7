/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/pool.h>
#include <service/snapshots.h>

/** NULL: there is none of that name. */
const CstSnapshot *volume_snapshot_find(const GPtrArray *snapshots, const char *name);
