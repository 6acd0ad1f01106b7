/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * Adds the pool to its service's tables, which acquire a reference. Replaces a pool of the same
 * name.
 */
void registry_add(CstPool *pool);
/**
 * Removes the pool from the tables and marks it as removed. The caller must have its own reference.
 */
void registry_remove(CstPool *pool);
/** Removes a pool that is neither active nor defined. Keeps any other pool. */
void registry_forget_transient(CstPool *pool);
/**
 * Returns whether @value passes a pair of filter bits: if neither bit is set, or the bit for
 * @value.
 */
gboolean registry_filter_passes(unsigned filter, unsigned yes_bit, unsigned no_bit, gboolean value);
/** Returns a new reference from memory, or NULL. Reads no files. */
CstPool *registry_find(CstService *service, const char *name);
