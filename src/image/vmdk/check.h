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

gboolean vmdk_walk(VmdkWalk *walk, VmdkSparse *sparse, CstTask *task, GError **error);
void vmdk_walk_clear(VmdkWalk *walk);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmdkWalk, vmdk_walk_clear)
gboolean vmdk_walk_is_bad(const VmdkWalk *walk, uint64_t index);

/** @entry: the sector that the table has for @grain; neither "none" nor "reads as zeroes". */
typedef gboolean (*VmdkGrainFunc)(VmdkWalk *walk, uint64_t grain, uint32_t entry, GError **error);
/** Calls @visit for each grain of table @index that is somewhere, until it fails. */
gboolean vmdk_walk_grains(VmdkWalk *walk, uint64_t index, VmdkGrainFunc visit, GError **error);

/** Repairs what was found, as @flags (CstCheckFlags) ask; counts it in walk->check. */
gboolean vmdk_repair(VmdkWalk *walk, unsigned flags, GError **error);

/** Checks, and repairs, one sparse extent of any kind. */
gboolean vmdk_check_sparse(CstBlob *blob, const VmdkExtentHow *how, unsigned flags,
                           CstImageCheck *ret_check, CstTask *task, GError **error);
gboolean vmdk_stream_check(VmdkExtent *extent, CstImageCheck *ret_check, CstTask *task,
                           GError **error);
