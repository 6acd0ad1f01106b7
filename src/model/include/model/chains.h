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

/* --- consolidation ---------------------------------------------------------------------------- */

typedef enum {
    CST_CONSOLIDATE_DELETE = 1 << 0 /**< delete merged layers without a user */
} CstConsolidateFlags;

/** How a run of layers is merged into a volume. Strings are borrowed. */
typedef struct {
    const char *base; /**< layer that stays as the backing file, by name or path; NULL: by @keep */
    uint32_t keep;    /**< images that the chain has afterwards at most; 0: CST_CONSOLIDATE_KEEP */
    unsigned flags;   /**< CstConsolidateFlags */
} CstVolConsolidate;

/** The volume and its last layer remain. */
#define CST_CONSOLIDATE_KEEP 2

typedef enum {
    CST_LAYER_USED, /**< an image other than an unused layer is based on it, or that is unknown */
    /** No image is based on it except the merged layer above it, which is unused itself. */
    CST_LAYER_UNUSED,
    CST_LAYER_DELETED,
    CST_LAYER_STATE_LAST
} CstLayerState;

/** A layer that a consolidation has merged into a volume. */
typedef struct {
    char *name; /**< POOL/VOLUME, or the path of a file in no active pool */
    CstLayerState state;
    char *problem; /**< why it was not deleted; NULL: no problem */
} CstMergedLayer;

/** NULL is accepted. */
void cst_merged_layer_free(CstMergedLayer *layer);
/** Returns "used", "unused" or "deleted", marked with N_(); NULL: not a state. */
const char *cst_layer_state_word(int state);

/** The result of a consolidation, or its plan. */
typedef struct {
    GPtrArray *layers; /**< of CstMergedLayer *, from the volume down; may be empty */
    char *base;        /**< the layer that stays below the volume; NULL: without @layers */
    uint64_t bytes;    /**< data of the layers that is copied at most */
    uint32_t depth;    /**< images of the chain afterwards */
} CstConsolidation;

void cst_consolidation_clear(CstConsolidation *consolidation);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstConsolidation, cst_consolidation_clear)
