/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/chains.h>

#include "core/claim.h"

/**
 * The depth of backing chains according to the tables of the active pools, and the limits of the
 * pools (model/chains.h). No image is opened. A backing file in no active pool is one layer, and
 * its own backing file is unknown. Does storage I/O for volumes that no table has yet.
 */

/**
 * Returns the paths of the layers from the file at @path down, as char *: the first is @path. Only
 * declared references are followed. *ret_is_endless: the chain leads back to itself, or has more
 * than CST_CHAINS_MAX layers; the result is truncated then.
 */
GPtrArray *chain_paths(CstService *service, const char *path, gboolean *ret_is_endless);

/** Returns the limits that are in force. Acquires the pool's lock. */
CstChainLimits pool_chain_limits(CstPool *pool);

/**
 * Checks whether a new volume @name of @pool may be based on the file at @backing. LIMIT, naming
 * the pool, its limit, the depth and the next step.
 */
gboolean chain_check_new(CstPool *pool, const char *name, const char *backing, GError **error);
/**
 * Checks whether an existing volume may be based on the file at @backing. The volumes that are
 * based on it become deeper, too, and have the limits of their own pools. A volume passes if its
 * chain does not become deeper. @path: of the volume. Errors: LIMIT; those of a failed scan.
 */
gboolean chain_check_change(CstPool *pool, const char *name, const char *path, const char *backing,
                            GError **error);

/**
 * Returns the depth of the volume's chain before a change of the chain, for chain_record_change();
 * 0: it is unknown, or no active pool has a setting.
 */
uint32_t chain_depth_now(CstPool *pool, const char *name);
/**
 * Returns the depth of the volume's chain before a deletion or a rename, for chain_record_gone().
 * 0: it is unknown, or the pool has no depth that warns. Costs the same with any number of pools.
 */
uint32_t chain_depth_warned(CstPool *pool, const char *name);
/**
 * Adds the event of a deep chain after an operation that has made the chain of the volume deeper,
 * or its end if the chain was deep and is not any more. @before: its depth before the operation; 0:
 * the volume is new. Only a pool with a setting has the event. A dry run has no effect.
 */
void chain_record(CstPool *pool, const char *name, uint32_t before);
/** Calls chain_record() for an existing volume and for the volumes that are based on it. */
void chain_record_change(CstPool *pool, const char *name, uint32_t before);
/** Adds the end of the event, because the volume has another name or does not exist any more. */
void chain_record_gone(CstPool *pool, const char *name, uint32_t before);
/** Adds the ends of the events of a pool that has lost its definition or its storage. */
void chain_record_pool_gone(CstPool *pool);
/**
 * Adds the ends of the events of a stopped pool if it is transient. The events of an inactive pool
 * last, because its chains are still deep.
 */
void chain_record_stop(CstPool *pool);
/**
 * Adds the ends of the events of a pool whose depth that warns was changed. The depths in an
 * inactive pool are unknown, so all of its events end. @before: the former depth that warns; 0: no
 * setting.
 */
void chain_record_setting(CstPool *pool, uint32_t before);
