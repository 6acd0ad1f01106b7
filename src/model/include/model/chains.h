/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * The backing chains of a pool. The depth of a chain counts its images: a volume without a backing
 * file has depth 1. Layers in other pools count as well.
 */

/** The depth that counts as deep in a pool without a setting. */
#define CST_CHAINS_WARN 8
/** The range of the setting. */
#define CST_CHAINS_MIN 2
#define CST_CHAINS_MAX 256

/** The setting of a pool: <cistern:chains>. */
typedef struct {
    uint32_t warn;   /**< depth from which on an operation causes an event; 0: no event */
    uint32_t refuse; /**< greatest depth that an operation may make; 0: no limit */
} CstChainLimits;

typedef enum {
    CST_CHAIN_OK,
    CST_CHAIN_DEEP, /**< it has reached the depth that warns */
    CST_CHAIN_FULL, /**< it has reached the limit, so a further layer is refused */
    CST_CHAIN_STATE_LAST
} CstChainState;

/** A chain of a pool, named by the volume on top. */
typedef struct {
    char *volume; /**< its name in the pool */
    /** The layers from the volume down: POOL/VOLUME, or the path of a file in no active pool. */
    GStrv layers;
    uint32_t depth;
    gboolean is_endless; /**< it leads back to itself, or has more than CST_CHAINS_MAX images */
    CstChainState state;
} CstPoolChain;

/** NULL is accepted. */
void cst_pool_chain_free(CstPoolChain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPoolChain, cst_pool_chain_free)

/** Returns the depth that counts as deep: the setting, or CST_CHAINS_WARN. */
uint32_t cst_chain_limits_warn(const CstChainLimits *limits);
/** Judges a chain of @depth images. */
CstChainState cst_chain_limits_judge(const CstChainLimits *limits, uint32_t depth);
/** Returns "ok", "deep" or "full", marked with N_(); NULL: not a state. */
const char *cst_chain_state_word(int state);
