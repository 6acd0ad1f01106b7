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
/** Frees @tables, which may be NULL; changes that were not written are lost. */
void vmdk_tables_free(VmdkTables *tables);

/**
 * Returns the entry of grain @grain, and how many grains from it on, at most @limit and inside of
 * one table, are alike: all without an entry (0) or all zeroes. A grain with a place counts as one.
 */
gboolean vmdk_tables_get(VmdkTables *tables, uint64_t grain, uint64_t limit, uint32_t *ret_entry,
                         uint64_t *ret_count, GError **error);

/** Returns whether a table for the grain's entry exists, so that it can be set. */
gboolean vmdk_tables_has(VmdkTables *tables, uint64_t grain, gboolean *ret_has, GError **error);
/**
 * Makes an empty table for the grain. Its copies are to live at sectors @place and @place + the
 * table's length, which the caller has taken.
 */
gboolean vmdk_tables_add(VmdkTables *tables, uint64_t grain, uint32_t place, GError **error);
/**
 * Sets the entry of a grain whose table exists, in both copies. CORRUPT when the redundant table
 * lies where none can be.
 */
gboolean vmdk_tables_set(VmdkTables *tables, uint64_t grain, uint32_t entry, GError **error);

/** Returns TRUE when vmdk_tables_write() has something to write. */
gboolean vmdk_tables_are_dirty(const VmdkTables *tables);
/**
 * Writes what has changed: grain tables, @barrier, directories. @barrier is called with the owner
 * of vmdk_tables_new(), and only when a directory has changed. No barrier at the end.
 */
gboolean vmdk_tables_write(VmdkTables *tables, gboolean (*barrier)(void *owner, GError **error),
                           GError **error);

/** Returns the sectors of table @index, primary and redundant; 0: none. For checking. */
gboolean vmdk_tables_places(VmdkTables *tables, uint64_t index, uint32_t *ret_place,
                            uint32_t *ret_redundant, GError **error);
/**
 * Sets *ret_holds when a grain table can lie at @place: inside of the file and not over metadata.
 */
gboolean vmdk_tables_place_holds(VmdkTables *tables, uint32_t place, gboolean *ret_holds,
                                 GError **error);
/** Sets the directories' entries of table @index and nothing else. For repairing. */
gboolean vmdk_tables_move(VmdkTables *tables, uint64_t index, uint32_t place, uint32_t redundant,
                          GError **error);
