/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sparse.h"

/** Who uses a part of a sparse extent's file. */
typedef enum { VMDK_USE_TABLE, VMDK_USE_REDUNDANT, VMDK_USE_GRAIN } VmdkUseKind;

typedef struct {
    uint32_t sector;
    VmdkUseKind kind;
    uint64_t index; /**< of the table in the directory; of the grain in the disk */
} VmdkUse;

typedef struct {
    uint64_t offset, length; /**< bytes of the file */
} VmdkGap;

/** A walk through all metadata. */
typedef struct {
    VmdkSparse *sparse;
    CstTask *task;
    CstImageCheck check;
    GArray *uses;          /**< VmdkUse, by sector */
    uint8_t *bad;          /**< bit by table: a copy lies where it can't be, or on another one */
    GArray *lagging;       /**< uint64_t: tables whose redundant copy differs */
    GHashTable *conflicts; /**< uint64_t: grains whose place somebody else uses as well */
    GArray *gaps;          /**< VmdkGap: with leaks in them */
    uint32_t before;       /**< the last grain's sector */
} VmdkWalk;

/**
 * Walks through all metadata of @sparse and fills @walk, whose other fields are zero but for
 * check.findings. Damage is counted in walk->check; FALSE means that reading failed or the task was
 * cancelled.
 */
gboolean vmdk_walk(VmdkWalk *walk, VmdkSparse *sparse, CstTask *task, GError **error);
/** Frees what @walk holds, also after a vmdk_walk() that failed. */
void vmdk_walk_clear(VmdkWalk *walk);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmdkWalk, vmdk_walk_clear)
/** Returns TRUE when a copy of table @index lies where none can be, or on another table. */
gboolean vmdk_walk_is_bad(const VmdkWalk *walk, uint64_t index);

/**
 * Handles one grain. @entry: the sector that the table has for @grain; never 0, nor the value for
 * zeroes. May change the entry.
 */
typedef gboolean (*VmdkGrainFunc)(VmdkWalk *walk, uint64_t grain, uint32_t entry, GError **error);
/** Calls @visit for each grain of table @index that has a place, until it returns FALSE. */
gboolean vmdk_walk_grains(VmdkWalk *walk, uint64_t index, VmdkGrainFunc visit, GError **error);

/** Repairs what @walk found, as @flags (CstCheckFlags) ask, and counts it in walk->check. */
gboolean vmdk_repair(VmdkWalk *walk, unsigned flags, GError **error);

/** Checks, and by @flags repairs, one sparse extent of any kind. Borrows @blob. */
gboolean vmdk_check_sparse(CstBlob *blob, const VmdkExtentHow *how, unsigned flags,
                           CstImageCheck *ret_check, CstTask *task, GError **error);
/** Checks a stream-optimized extent; counts damaged grains as errors. */
gboolean vmdk_stream_check(VmdkExtent *extent, CstImageCheck *ret_check, CstTask *task,
                           GError **error);
