/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "levels.h"

/** How a walk repairs a table or cluster that two entries use: the second one gets a copy. */
typedef struct {
    gboolean (*copy_table)(CstLevels *levels, uint64_t l1_index, uint64_t from, GError **error);
    /** @table and @inside: where the entry is. */
    gboolean (*copy_cluster)(CstLevels *levels, uint64_t table, uint64_t inside, uint64_t from,
                             GError **error);
} CstLevelsFix;

/** What a walk through all tables has found. */
typedef struct {
    CstLevels *levels;
    const CstLevelsFix
        *fix;           /**< entries that are wrong are mended on the way; NULL: counted only */
    uint64_t file_size; /**< when the walk began: what is beyond was allocated by it */
    uint64_t units;     /**< of the file, each levels->align bytes */
    uint8_t *used;      /**< bit by unit: header, tables, plain clusters */
    uint8_t *packed;    /**< bit by unit: compressed data, which may share units */
    GHashTable *bad;    /**< indexes of L1 entries that could not be followed */
    CstImageCheck *check;
    CstTask *task;
    uint64_t before; /**< where the last plain cluster was */
} CstLevelsWalk;

/**
 * Walks through all tables and fills in the rest of @walk; may be repeated. LIMIT when the file is
 * too long for an account of its units. Nobody else uses the image.
 */
gboolean cst_levels_walk(CstLevelsWalk *walk, GError **error);
/** Frees the account of the file, not @walk itself; also after a failed walk. */
void cst_levels_walk_clear(CstLevelsWalk *walk);

/** Returns whether no unit of cluster @number of the file is in use. */
gboolean cst_levels_walk_is_free(const CstLevelsWalk *walk, uint64_t number);
/**
 * Sets the bits of all units in @bits (walk->used or walk->packed) that the range touches; units
 * behind the end of the file are left out.
 */
void cst_levels_walk_mark(const CstLevelsWalk *walk, uint8_t *bits, uint64_t offset,
                          uint64_t length);
