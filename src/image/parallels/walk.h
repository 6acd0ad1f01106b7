/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "parallels.h"

/** A walk through the whole table; nobody else uses the image. */
typedef struct {
    Parallels *parallels;
    CstImageCheck *check;
    CstTask *task;
    /**
     * Called for each entry that is wrong: @host is 0 where it leads outside of the file, else
     * where another one lies as well. NULL: errors are counted only.
     */
    gboolean (*fix)(Parallels *parallels, uint64_t index, uint64_t host, GError **error);

    uint64_t before; /**< where the last cluster was */
    uint64_t shift;  /**< added to a place, makes it count in whole clusters */
    uint8_t *used;   /**< bit by cluster of the file */
    size_t used_bytes;
} ParallelsWalk;

/** Sets what is not the caller's. LIMIT when the file is too long; walk->used is to be freed. */
gboolean parallels_walk_init(ParallelsWalk *walk, GError **error);
/** Goes through all entries; counts errors, clusters and the end of what is in use. */
gboolean parallels_walk_table(ParallelsWalk *walk, GError **error);
/** Cluster @number of the file is some entry's. */
gboolean parallels_walk_uses(const ParallelsWalk *walk, uint64_t number);
