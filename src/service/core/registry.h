/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/**
 * Adds the pool to its service's tables, which keep a reference, in place of one of the same name.
 */
void registry_add(CstPool *pool);
/**
 * Removes the pool from the tables and marks it as removed. The caller has a reference of its own.
 */
void registry_remove(CstPool *pool);
/** Removes a pool that is neither active nor defined; any other one stays. */
void registry_forget_transient(CstPool *pool);
/**
 * Whether @value passes one pair of filter bits: it does when neither is set, or the one that
 * applies.
 */
gboolean registry_filter_passes(unsigned filter, unsigned yes_bit, unsigned no_bit, gboolean value);
/** A new reference from memory, or NULL; reads no files. */
CstPool *registry_find(CstService *service, const char *name);
