/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

#include "header.h"

/**
 * Grain directory and grain tables of a sparse extent, with their redundant copies, seen through
 * page caches (directory: table.h; grain tables: 1 MiB), so that an extent of many terabytes
 * costs no more memory than a small one. Not locked: the extent's lock covers it.
 *
 * What is read is the primary copy. Whatever changes, changes in both.
 */
typedef struct VmdkTables VmdkTables;

/**
 * @blob and @header are borrowed; places in @header are checked against the file here (CORRUPT).
 * @spill is called with @owner when all of a cache is dirty; it must write everything. NULL:
 * nothing is going to be changed.
 */
VmdkTables *vmdk_tables_new(CstBlob *blob, const VmdkHeader *header,
                            gboolean (*spill)(void *owner, GError **error), void *owner,
                            GError **error);
void vmdk_tables_free(VmdkTables *tables);

/**
 * The entry of grain @grain, and how many grains from it on, at most @limit, are alike: all have no
 * entry (0) or all read as zeroes; with a place: one.
 */
gboolean vmdk_tables_get(VmdkTables *tables, uint64_t grain, uint64_t limit, uint32_t *ret_entry,
                         uint64_t *ret_count, GError **error);

/** There is a table for the grain's entry: it can be set. */
gboolean vmdk_tables_has(VmdkTables *tables, uint64_t grain, gboolean *ret_has, GError **error);
/** Makes the table: the copies are to live at sectors @place and @place + its length. */
gboolean vmdk_tables_add(VmdkTables *tables, uint64_t grain, uint32_t place, GError **error);
gboolean vmdk_tables_set(VmdkTables *tables, uint64_t grain, uint32_t entry, GError **error);

gboolean vmdk_tables_are_dirty(const VmdkTables *tables);
/** Writes what has changed: grain tables, @barrier, directory. */
gboolean vmdk_tables_write(VmdkTables *tables, gboolean (*barrier)(void *owner, GError **error),
                           GError **error);

/** Sectors of table @index, primary and redundant; 0: none. For checking. */
gboolean vmdk_tables_places(VmdkTables *tables, uint64_t index, uint32_t *ret_place,
                            uint32_t *ret_redundant, GError **error);
/** *ret_holds: the sectors can be a grain table. */
gboolean vmdk_tables_place_holds(VmdkTables *tables, uint32_t place, gboolean *ret_holds,
                                 GError **error);
/** Sets the directories' entries alone. For repairing. */
gboolean vmdk_tables_move(VmdkTables *tables, uint64_t index, uint32_t place, uint32_t redundant,
                          GError **error);
