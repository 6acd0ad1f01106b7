/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "parallels.h"

/** A walk through the whole table. The image must have no other user. */
typedef struct {
    Parallels *parallels;
    CstImageCheck *check;
    CstTask *task;
    /**
     * Called for each wrong entry. @host: 0 if the entry points outside of the file, else the place
     * that another entry has too. NULL: errors are only counted.
     */
    gboolean (*fix)(Parallels *parallels, uint64_t index, uint64_t host, GError **error);

    uint64_t before; /**< place of the last cluster */
    uint64_t shift;  /**< added to a place to align it to whole clusters */
    uint8_t *used;   /**< one bit for each cluster of the file */
    size_t used_bytes;
} ParallelsWalk;

/**
 * Initialize the members that the caller does not set. LIMIT if the file is too long for a bitmap.
 * The caller frees walk->used with g_free(), also after a failure.
 */
gboolean parallels_walk_init(ParallelsWalk *walk, GError **error);
/**
 * Walk through all entries. Counts errors and clusters and finds the end of the used part in
 * walk->check.
 */
gboolean parallels_walk_table(ParallelsWalk *walk, GError **error);
/** Return whether an entry refers to cluster @number of the file. */
gboolean parallels_walk_uses(const ParallelsWalk *walk, uint64_t number);
