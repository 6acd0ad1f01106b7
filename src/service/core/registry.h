/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/pools.h>

/** Adds the pool to its service's tables, which keep a reference. */
void registry_add(CstPool *pool);
/** Removes the pool, which from then on is marked as removed. */
void registry_remove(CstPool *pool);
/** Removes a pool that is neither active nor defined; any other one stays. */
void registry_forget_transient(CstPool *pool);
/** One pair of filter bits: passes when neither is asked for, or the one that applies. */
gboolean registry_filter_passes(unsigned filter, unsigned yes_bit, unsigned no_bit, gboolean value);
/** A new reference from memory, or NULL; reads no files. */
CstPool *registry_find(CstService *service, const char *name);
