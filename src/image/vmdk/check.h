/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sparse.h"

/** The kind of metadata or data that uses a part of a sparse extent's file. */
typedef enum { VMDK_USE_TABLE, VMDK_USE_REDUNDANT, VMDK_USE_GRAIN } VmdkUseKind;

typedef struct {
    uint32_t sector;
    VmdkUseKind kind;
    uint64_t index; /**< of the table in the directory; of the grain in the disk */
} VmdkUse;

typedef struct {
    uint64_t offset, length; /**< bytes of the file */
} VmdkGap;

/** The state of a walk through all metadata. */
typedef struct {
    VmdkSparse *sparse;
    CstTask *task;
    CstImageCheck check;
    GArray *uses;          /**< VmdkUse, by sector */
    uint8_t *bad;          /**< bit for each table: a copy is at an invalid place or overlaps */
    GArray *lagging;       /**< uint64_t: tables whose redundant copy differs */
    GHashTable *conflicts; /**< uint64_t: grains at a place with a second user */
    GArray *gaps;          /**< VmdkGap: gaps between the uses that contain leaks */
    uint32_t before;       /**< the last grain's sector */
} VmdkWalk;

/**
 * Walk through all metadata of @sparse and fill @walk. The caller sets check.findings and zeroes
 * all other fields. Damage is counted in walk->check.
 *
 * Return: FALSE if a read failed or the task was cancelled.
 */
gboolean vmdk_walk(VmdkWalk *walk, VmdkSparse *sparse, CstTask *task, GError **error);
/** Free the fields of @walk. May be called after vmdk_walk() has failed. */
void vmdk_walk_clear(VmdkWalk *walk);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VmdkWalk, vmdk_walk_clear)
/** Return TRUE if a copy of table @index lies at an invalid place or over another table. */
gboolean vmdk_walk_is_bad(const VmdkWalk *walk, uint64_t index);

/**
 * Handle one grain. @entry is the sector in the table's entry for @grain; never 0 or the value for
 * zeroes. May change the entry.
 */
typedef gboolean (*VmdkGrainFunc)(VmdkWalk *walk, uint64_t grain, uint32_t entry, GError **error);
/** Call @visit for each grain of table @index that has a place, until it returns FALSE. */
gboolean vmdk_walk_grains(VmdkWalk *walk, uint64_t index, VmdkGrainFunc visit, GError **error);

/**
 * Repair the findings of @walk as @flags (CstCheckFlags) request, and count the repairs in
 * walk->check.
 */
gboolean vmdk_repair(VmdkWalk *walk, unsigned flags, GError **error);

/** Check one sparse extent of any kind, and repair it as @flags request. Borrows @blob. */
gboolean vmdk_check_sparse(CstBlob *blob, const VmdkExtentHow *how, unsigned flags,
                           CstImageCheck *ret_check, CstTask *task, GError **error);
/** Check a stream-optimized extent; damaged grains are counted as errors. */
gboolean vmdk_stream_check(VmdkExtent *extent, CstImageCheck *ret_check, CstTask *task,
                           GError **error);
