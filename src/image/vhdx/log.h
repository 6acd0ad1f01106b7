/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "header.h"

/**
 * The log ([MS-VHDX] 2.3): a ring of 4 KiB sectors in which changes of metadata are written down
 * before they are made. A header whose log GUID is not zero says that the log must be replayed
 * before anything else in the file is believed.
 */
#define VHDX_SECTOR    4096
#define VHDX_LOG_PAGES 126 /**< that one entry can hold while its descriptors take one sector */

/* --- patches.c: what a replay changes -------------------------------------------------------- */

/** Ranges of the file, disjoint, with their new content. */
typedef struct VhdxPatches VhdxPatches;

/** Returns an empty set; free it with vhdx_patches_free(). */
VhdxPatches *vhdx_patches_new(void);
/** Frees @patches, which may be NULL. */
void vhdx_patches_free(VhdxPatches *patches);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VhdxPatches, vhdx_patches_free)

/**
 * Adds a patch; it covers what earlier patches have there. @data: VHDX_SECTOR bytes, copied, and
 * @length is VHDX_SECTOR; NULL: @length zeroes. @offset and @length are multiples of VHDX_SECTOR.
 */
void vhdx_patches_add(VhdxPatches *patches, uint64_t offset, uint64_t length, const uint8_t *data);
/** Raises the least size, in bytes, that the file has once the log is replayed. */
void vhdx_patches_set_size(VhdxPatches *patches, uint64_t size);
/** Writes the patches to @blob and makes it long enough. Does not flush. May be repeated. */
gboolean vhdx_patches_apply(VhdxPatches *patches, CstBlob *blob, GError **error);
/**
 * Returns a read-only view of @inner with the patches applied, which holds its own reference to
 * @inner. Takes over @patches, also when it fails.
 */
CstBlob *vhdx_patches_overlay(VhdxPatches *patches, CstBlob *inner, GError **error);

/* --- log.c ----------------------------------------------------------------------------------- */

/**
 * Reads the log that @header points to, whose GUID is set. NULL with CORRUPT when there is nothing
 * valid in it, LIMIT when it is larger than anybody makes them.
 */
VhdxPatches *vhdx_log_read(CstBlob *blob, const VhdxHeader *header, GError **error);

/**
 * One entry that is a log by itself: its tail is its own start, because whatever came before has
 * been made durable in its place. Sectors: VHDX_SECTOR bytes each, @count at most VHDX_LOG_PAGES.
 */
typedef struct {
    const uint8_t *guid;
    uint64_t sequence;
    uint32_t position;  /**< in the log */
    uint64_t file_size; /**< durable so far, and enough for all that is allocated */
    unsigned count;
    const uint64_t *offsets;
    const uint8_t *const *pages;
} VhdxLogEntry;

/** Returns the bytes of the entry, *ret_len of them; g_free() them. */
uint8_t *vhdx_log_encode(const VhdxLogEntry *entry, size_t *ret_len);
