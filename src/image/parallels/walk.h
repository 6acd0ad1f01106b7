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

/**
 * Fills in the members that are not the caller's. LIMIT when the file is too long for a bit for
 * each cluster. The caller g_free()s walk->used, also after a failure.
 */
gboolean parallels_walk_init(ParallelsWalk *walk, GError **error);
/**
 * Walks through all entries, and counts errors, clusters and the end of what is in use in
 * walk->check.
 */
gboolean parallels_walk_table(ParallelsWalk *walk, GError **error);
/** Returns whether an entry refers to cluster @number of the file. */
gboolean parallels_walk_uses(const ParallelsWalk *walk, uint64_t number);
