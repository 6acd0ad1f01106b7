/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

#include "page_cache.h"

/**
 * The image's tables (block allocation table, sector bitmaps, metadata) as sectors of 4 KiB, seen
 * through a page cache (page_cache.h) of 4 MiB. A dirty sector is written to the log first, and
 * from there to its place in the file, the checkpoint. Until a sector is checkpointed the file's
 * content is out of date, and a sector that was evicted is read from a copy in memory.
 *
 * Not locked.
 */
typedef struct VhdxPages VhdxPages;

/** Returns an empty cache of @blob, which is borrowed. */
VhdxPages *vhdx_pages_new(CstBlob *blob);
/** Frees @pages, which may be NULL; dirty sectors are lost. */
void vhdx_pages_free(VhdxPages *pages);

/**
 * Returns the sector that holds byte @offset; bytes beyond the end of the file are zero. The cache
 * owns the page, which is valid until the next call of vhdx_page_get().
 */
CstPage *vhdx_page_get(VhdxPages *pages, uint64_t offset, GError **error);
/** Marks a sector dirty. Call it right after vhdx_page_get(), while the page is still cached. */
gboolean vhdx_page_dirty(VhdxPages *pages, CstPage *page, GError **error);
/** Returns the number of dirty sectors, which are those not logged yet. */
unsigned vhdx_pages_dirty_count(const VhdxPages *pages);

/** Copies bytes that may span sectors. */
gboolean vhdx_pages_read(VhdxPages *pages, uint64_t offset, void *buf, size_t len, GError **error);
/** Changes bytes that may span sectors, and marks those sectors dirty. */
gboolean vhdx_pages_write(VhdxPages *pages, uint64_t offset, const void *buf, size_t len,
                          GError **error);

/**
 * Returns the dirty sectors, vhdx_pages_dirty_count() of them, ordered by offset. The pages are
 * borrowed; g_free() the array.
 */
CstPage **vhdx_pages_dirty(VhdxPages *pages, GError **error);
/**
 * Records that all dirty sectors (@dirty, of vhdx_pages_dirty(); at most VHDX_LOG_PAGES) are in the
 * log as they are now; they become clean. All that was logged before must be checkpointed.
 */
void vhdx_pages_logged(VhdxPages *pages, CstPage *const *dirty);
/**
 * Writes the sectors that are only in the log to their places in the file, as they were logged.
 * Does not flush. May be repeated when it fails.
 */
gboolean vhdx_pages_checkpoint(VhdxPages *pages, GError **error);
/** Drops all pages. No sector may be dirty or only in the log. */
void vhdx_pages_clear(VhdxPages *pages);
