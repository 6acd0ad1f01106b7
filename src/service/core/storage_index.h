/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/*
 * The pools of a service by their storage. A check for a pool with the same storage compares only
 * the pools that the index returns. The index has its own lock, which may be acquired under the
 * lock of a pool. No lock is acquired under the lock of the index.
 */

StorageIndex *storage_index_new(void);
/** Returns @index with a new reference. Each pool has one, so it may outlive the service. */
StorageIndex *storage_index_ref(StorageIndex *index);
void storage_index_unref(StorageIndex *index);

/**
 * Enters the pool with its present definition, identity and state, and removes its former entry.
 * Call it after each change of these. Requires the pool's lock, or that no other thread has the
 * pool.
 */
void storage_index_update(CstPool *pool);
/** Removes the entry of a pool that is being freed. */
void storage_index_remove(CstPool *pool);

/**
 * Returns the text of the paths in @def whose identities decide a conflict: its directory or its
 * devices, one a line. The caller frees it. NULL: no such paths.
 */
char *storage_index_paths(const CstPoolDef *def);
/**
 * Returns the names of all pools that may have the same storage as @def, sorted, without
 * duplicates. The caller frees them and compares each of these pools. @ids: of CstStorageId, the
 * identities of the paths of @def; zero: not known. @active: inactive pools with an unread
 * directory are left out.
 */
GPtrArray *storage_index_find(StorageIndex *index, const CstPoolDef *def, const GArray *ids,
                              gboolean active);
