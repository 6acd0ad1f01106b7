/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "contract.h"

extern const Ground zfs_ground;

/** The abilities of ZFS, real or simulated. */
#define ZFS_GROUND_FLAGS                                                                           \
    (GROUND_NEEDS_BUILD | GROUND_DELETES | GROUND_RESIZES | GROUND_GROWS_ZERO | GROUND_SNAPSHOTS | \
     GROUND_CLONES_DEPEND | GROUND_MAKER_LIVES | GROUND_RENAMES | GROUND_TRASH | GROUND_TELLS |    \
     GROUND_MOVES | GROUND_MOVES_DEPENDENTS | GROUND_ONE_STEP | GROUND_PLANS)
