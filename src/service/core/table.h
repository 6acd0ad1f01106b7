/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * With the pool's lock held: sets the record of @name to @volume, whose reference it takes over;
 * NULL: there is none.
 */
void pool_table_set(CstPool *pool, const char *name, CstVolume *volume);
/** Removes the record of a volume that is gone from the storage; nothing when there is none. */
void pool_table_remove(CstPool *pool, const char *name);
/** Forgets all volumes; the next use scans the pool. */
void pool_table_clear(CstPool *pool);
/** With the pool's lock held: discards the sorted list, as the table or the drafts have changed. */
void pool_table_unsort(CstPool *pool);

/** Returns a new reference to what was found on the storage, or NULL; drafts are not found. */
CstVolume *pool_table_found(CstPool *pool, const char *name);
/** With the pool's lock held: the same, and also finds a volume that is being created. */
CstVolume *pool_table_find(CstPool *pool, const char *name);
/**
 * Returns a new reference from memory, also to a volume that is being created; NULL: there is none.
 * Touches no storage.
 */
CstVolume *pool_table_known(CstPool *pool, const char *name);

/** Counts the volumes known, with those that are being created. */
guint pool_table_count(CstPool *pool);
/**
 * Returns the volumes, drafts included, in byte order of their names. The caller unrefs the array
 * and does not change it: it is shared.
 */
GPtrArray *pool_table_sorted(CstPool *pool);
/**
 * Call it before @volume gets another name or goes to another pool: what it refers to counts until
 * pool_table_end_move(), whatever scans find meanwhile under the old and the new name.
 */
void pool_table_begin_move(CstPool *pool, CstVolume *volume);
/** Call it when the table has the new record, or the volume has kept its name. May be repeated. */
void pool_table_end_move(CstPool *pool, const char *name);
gboolean pool_table_is_moving(CstPool *pool, const char *name);
/** Whether the image of some volume refers to @path, which is clean, and may. Costs one look-up. */
gboolean pool_table_has_overlay(CstPool *pool, const char *path);
/** Whether the image of some volume refers to any file. */
gboolean pool_table_has_overlays(CstPool *pool);
/**
 * Appends to @volumes a reference to the record of each volume that names @path
 * as its backing or data file, and may. Costs as much as there are.
 */
void pool_table_based_on(CstPool *pool, const char *path, GPtrArray *volumes);
