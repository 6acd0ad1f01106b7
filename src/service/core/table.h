/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * Sets the record of @name to @volume, and consumes its reference. NULL removes the record.
 * Requires the pool's lock.
 */
void pool_table_set(CstPool *pool, const char *name, CstVolume *volume);
/** Removes the record of a volume that no longer exists. Does nothing if the name has no record. */
void pool_table_remove(CstPool *pool, const char *name);
/** Removes all records. The next use scans the pool. */
void pool_table_clear(CstPool *pool);
/**
 * Discards the sorted list, because the table or the drafts have changed. Requires the pool's lock.
 */
void pool_table_unsort(CstPool *pool);

/** Returns a new reference to the record from the last scan, or NULL. Does not find drafts. */
CstVolume *pool_table_found(CstPool *pool, const char *name);
/**
 * Like pool_table_found(), but also finds a volume that is being created. Requires the pool's lock.
 */
CstVolume *pool_table_find(CstPool *pool, const char *name);
/**
 * Returns a new reference from memory, also to a volume that is being created. Returns NULL if the
 * volume is unknown. Does no storage I/O.
 */
CstVolume *pool_table_known(CstPool *pool, const char *name);

/**
 * Calls pool_table_known() for each of @count names. Returns an array of CstVolume *, with NULL for
 * an unknown name, and for a name that occurs earlier in @names. The caller unrefs the array.
 */
GPtrArray *pool_table_known_page(CstPool *pool, const char *const *names, guint count);

/** Counts the known volumes, including volumes that are being created. */
guint pool_table_count(CstPool *pool);
/**
 * Returns the volumes, including drafts, in byte order of their names. The array is shared: the
 * caller unrefs it and must not change it.
 */
GPtrArray *pool_table_sorted(CstPool *pool);
/**
 * Keeps the references of @volume in force until pool_table_end_move(), independently of scans of
 * the old and the new name. Call it before @volume is renamed or moved to another pool.
 */
void pool_table_begin_move(CstPool *pool, CstVolume *volume);
/**
 * Ends the effect of pool_table_begin_move(). Call it when the table has the new record, or the
 * volume has kept its name. Idempotent.
 */
void pool_table_end_move(CstPool *pool, const char *name);
gboolean pool_table_is_moving(CstPool *pool, const char *name);
/**
 * Returns whether an image of the pool has a declared reference to @path, which is canonical. Costs
 * one lookup.
 */
gboolean pool_table_has_overlay(CstPool *pool, const char *path);
/** Returns whether an image of the pool references any file. */
gboolean pool_table_has_overlays(CstPool *pool);
/**
 * Appends to @volumes a reference to the record of each volume with a declared reference to @path
 * as its backing or data file. The cost is proportional to the result.
 */
void pool_table_based_on(CstPool *pool, const char *path, GPtrArray *volumes);
