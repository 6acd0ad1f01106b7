/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "levels.h"

/** Repair callbacks for a table or cluster that two entries use: the second entry gets a copy. */
typedef struct {
    gboolean (*copy_table)(CstLevels *levels, uint64_t l1_index, uint64_t from, GError **error);
    /** @table and @inside: position of the entry. */
    gboolean (*copy_cluster)(CstLevels *levels, uint64_t table, uint64_t inside, uint64_t from,
                             GError **error);
} CstLevelsFix;

/** State and results of a walk through all tables. */
typedef struct {
    CstLevels *levels;
    const CstLevelsFix *fix; /**< repairs wrong entries during the walk; NULL: only counts */
    uint64_t file_size; /**< at the start of the walk: space beyond it was allocated by the walk */
    uint64_t units;     /**< number of units of the file, each levels->align bytes */
    uint8_t *used;      /**< bit for each unit: header, tables, plain clusters */
    uint8_t *packed;    /**< bit for each unit: compressed data, which may share units */
    GHashTable *bad;    /**< indexes of L1 entries that can't be followed, plus 1 */
    CstImageCheck *check;
    CstTask *task;
    uint64_t before; /**< place of the last plain cluster */
} CstLevelsWalk;

/**
 * Walk through all tables and fill the other fields of @walk. May be repeated. LIMIT if the file is
 * too long for a bitmap of its units. The image must have no other user.
 */
gboolean cst_levels_walk(CstLevelsWalk *walk, GError **error);
/**
 * Free the bitmaps and the table of bad entries, not @walk itself. May be called after a failed
 * walk.
 */
void cst_levels_walk_clear(CstLevelsWalk *walk);

/** Return whether all units of cluster @number of the file are unused. */
gboolean cst_levels_walk_is_free(const CstLevelsWalk *walk, uint64_t number);
/**
 * Set the bits of all units in @bits (walk->used or walk->packed) that the range touches. Units
 * beyond the end of the file are skipped.
 */
void cst_levels_walk_mark(const CstLevelsWalk *walk, uint8_t *bits, uint64_t offset,
                          uint64_t length);
