/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

/**
 * The pools of a service by their storage, so that a check for pools with the same storage does not
 * compare with each pool. The index has a lock of its own. It may be taken while a pool's lock is
 * held, and no lock is taken under it.
 */
typedef struct StorageIndex StorageIndex;

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
 * Returns the names of all pools that may have the same storage as @def, sorted, once each; the
 * caller frees them. The caller compares each of these pools. @id: identity of the directory of
 * @def; zero if it is not known. With @active, inactive pools whose directory has not been read
 * may be left out.
 */
GPtrArray *storage_index_find(StorageIndex *index, const CstPoolDef *def, const CstStorageId *id,
                              gboolean active);
