/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

#include "header.h"

/**
 * Grain directory and grain tables of a sparse extent, with their redundant copies. They are
 * accessed through page caches (directory: table.h; grain tables: 1 MiB), so that the memory use
 * does not grow with the size of the extent. Not locked: the extent's lock guards it.
 *
 * Reads use the primary copy. Changes are made to both copies.
 */
typedef struct VmdkTables VmdkTables;

/**
 * Create the caches. @blob and @header are borrowed. Offsets in @header are checked against the
 * file (CORRUPT). @spill is called with @owner when all pages of a cache are dirty; it must write
 * all of them. NULL: the tables are not going to be changed.
 */
VmdkTables *vmdk_tables_new(CstBlob *blob, const VmdkHeader *header,
                            gboolean (*spill)(void *owner, GError **error), void *owner,
                            GError **error);
/** Free @tables, which may be NULL; unwritten changes are lost. */
void vmdk_tables_free(VmdkTables *tables);

/**
 * Return the entry of grain @grain, and the number of equal entries from it on, at most @limit and
 * within one table. Equal means all without an entry (0) or all zeroes; a grain with a place counts
 * as one.
 */
gboolean vmdk_tables_get(VmdkTables *tables, uint64_t grain, uint64_t limit, uint32_t *ret_entry,
                         uint64_t *ret_count, GError **error);

/** Set *ret_has to TRUE if the table for the grain's entry exists, so that the entry can be set. */
gboolean vmdk_tables_has(VmdkTables *tables, uint64_t grain, gboolean *ret_has, GError **error);
/**
 * Create an empty table for the grain. Its copies are at sectors @place and @place + the table's
 * length, which the caller has allocated.
 */
gboolean vmdk_tables_add(VmdkTables *tables, uint64_t grain, uint32_t place, GError **error);
/**
 * Set the entry of a grain, whose table must exist, in both copies. CORRUPT if the redundant table
 * lies at an invalid place.
 */
gboolean vmdk_tables_set(VmdkTables *tables, uint64_t grain, uint32_t entry, GError **error);

/** Return TRUE if vmdk_tables_write() has changes to write. */
gboolean vmdk_tables_are_dirty(const VmdkTables *tables);
/**
 * Write all changes: grain tables, then a barrier, then directories. @barrier is called with the
 * owner given to vmdk_tables_new(), and only if a directory has changed. No barrier at the end.
 */
gboolean vmdk_tables_write(VmdkTables *tables, gboolean (*barrier)(void *owner, GError **error),
                           GError **error);

/**
 * Return the sectors of both copies of table @index, primary and redundant; 0: no copy. For checks.
 */
gboolean vmdk_tables_places(VmdkTables *tables, uint64_t index, uint32_t *ret_place,
                            uint32_t *ret_redundant, GError **error);
/**
 * Set *ret_holds to TRUE if a grain table can lie at @place: within the file and not over metadata.
 */
gboolean vmdk_tables_place_holds(VmdkTables *tables, uint32_t place, gboolean *ret_holds,
                                 GError **error);
/** Set only the entries of table @index in the directories. For repairs. */
gboolean vmdk_tables_move(VmdkTables *tables, uint64_t index, uint32_t place, uint32_t redundant,
                          GError **error);
