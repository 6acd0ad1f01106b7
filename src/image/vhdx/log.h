/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "header.h"

/**
 * The log ([MS-VHDX] 2.3): a ring of 4 KiB sectors. Changes of metadata are written to it before
 * they are made in place. If a header's log GUID is not zero, the log must be replayed before any
 * other part of the file is used.
 */
#define VHDX_SECTOR    4096
#define VHDX_LOG_PAGES 126 /**< maximum of one entry with all descriptors in one sector */

/* --- patches.c: changes by a replay ---------------------------------------------------------- */

/** Disjoint ranges of the file with their new content. */
typedef struct VhdxPatches VhdxPatches;

/** Return an empty set; the caller frees it with vhdx_patches_free(). */
VhdxPatches *vhdx_patches_new(void);
/** Free @patches, which may be NULL. */
void vhdx_patches_free(VhdxPatches *patches);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VhdxPatches, vhdx_patches_free)

/**
 * Add a patch, which replaces earlier patches in its range. @data: VHDX_SECTOR bytes, copied, and
 * @length is VHDX_SECTOR; NULL: @length zeroes. @offset and @length are multiples of VHDX_SECTOR.
 */
void vhdx_patches_add(VhdxPatches *patches, uint64_t offset, uint64_t length, const uint8_t *data);
/** Raise the minimum size of the file after the replay, in bytes. */
void vhdx_patches_set_size(VhdxPatches *patches, uint64_t size);
/**
 * Write the patches to @blob and extend it to the minimum size. Does not flush. May be repeated.
 */
gboolean vhdx_patches_apply(VhdxPatches *patches, CstBlob *blob, GError **error);
/**
 * Return a read-only view of @inner with the patches applied, which holds its own reference to
 * @inner. Consumes @patches, also on failure.
 */
CstBlob *vhdx_patches_overlay(VhdxPatches *patches, CstBlob *inner, GError **error);

/* --- log.c ----------------------------------------------------------------------------------- */

/**
 * Read the log of @header, whose log GUID must be set. Return: NULL with CORRUPT if the log has no
 * valid entry, LIMIT if it is too large to be replayed.
 */
VhdxPatches *vhdx_log_read(CstBlob *blob, const VhdxHeader *header, GError **error);

/**
 * An entry that is a complete log: its tail is its own start, because all earlier changes are
 * durable in their places. Sectors have VHDX_SECTOR bytes each; @count is at most VHDX_LOG_PAGES.
 */
typedef struct {
    const uint8_t *guid;
    uint64_t sequence;
    uint32_t position;  /**< in the log */
    uint64_t file_size; /**< durable already, and sufficient for all allocated space */
    unsigned count;
    const uint64_t *offsets;
    const uint8_t *const *pages;
} VhdxLogEntry;

/**
 * Return the bytes of the entry and set *ret_len to their number. The caller frees them with
 * g_free().
 */
uint8_t *vhdx_log_encode(const VhdxLogEntry *entry, size_t *ret_len);
