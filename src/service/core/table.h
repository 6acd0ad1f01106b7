/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/** A table of volumes by name, empty; it owns a reference to each. */
GHashTable *pool_table_new(void);
/** Takes the reference over; a record of the same name goes. */
void pool_table_put(CstPool *pool, CstVolume *volume);
/** The volume is gone from the storage. */
void pool_table_remove(CstPool *pool, const char *name);
/** Nothing is known of the pool any more: the next use scans it. */
void pool_table_clear(CstPool *pool);
/** With the pool's lock held: another list of names is to be made. */
void pool_table_unsort(CstPool *pool);

/** A new reference to what was found on the storage, or NULL. */
CstVolume *pool_table_found(CstPool *pool, const char *name);
/** The same with the pool's lock held, and also of a volume that is being created. */
CstVolume *pool_table_find(CstPool *pool, const char *name);
/**
 * A new reference from memory; NULL when neither the table nor that of drafts has such a volume.
 * Touches no storage.
 */
CstVolume *pool_table_known(CstPool *pool, const char *name);

/** How many volumes are known, with those that are being created. */
guint pool_table_count(CstPool *pool);
/** References in the order of names; the caller frees the array. */
GPtrArray *pool_table_sorted(CstPool *pool);
/**
 * Adds to @overlays (path to GPtrArray of char *, all owned) "pool/volume" for each volume known
 * here that is based on something.
 */
void pool_table_overlays(CstPool *pool, GHashTable *overlays);
/** There is one that is based on @path; cheaper than all of them. */
gboolean pool_table_has_overlay(CstPool *pool, const char *path);
