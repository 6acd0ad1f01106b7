/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

#include "page_cache.h"

/**
 * The image's tables (block allocation table, sector bitmaps, metadata) as sectors of 4 KiB,
 * accessed through a page cache (page_cache.h) of 4 MiB. A dirty sector is written to the log
 * first, and from there to its place in the file (checkpoint). Until the checkpoint the file's
 * content is out of date; an evicted sector is read from a copy in memory.
 *
 * Not locked.
 */
typedef struct VhdxPages VhdxPages;

/** Return an empty cache of @blob, which is borrowed. */
VhdxPages *vhdx_pages_new(CstBlob *blob);
/** Free @pages, which may be NULL; dirty sectors are lost. */
void vhdx_pages_free(VhdxPages *pages);

/**
 * Return the sector that holds byte @offset; bytes beyond the end of the file are zero. The cache
 * owns the page, which is valid until the next call of vhdx_page_get().
 */
CstPage *vhdx_page_get(VhdxPages *pages, uint64_t offset, GError **error);
/**
 * Mark a sector dirty. Must be called right after vhdx_page_get(), while the page is still cached.
 */
gboolean vhdx_page_dirty(VhdxPages *pages, CstPage *page, GError **error);
/** Return the number of dirty sectors, which are the sectors not yet logged. */
unsigned vhdx_pages_dirty_count(const VhdxPages *pages);

/** Copy bytes that may span sectors. */
gboolean vhdx_pages_read(VhdxPages *pages, uint64_t offset, void *buf, size_t len, GError **error);
/** Change bytes that may span sectors, and mark the sectors dirty. */
gboolean vhdx_pages_write(VhdxPages *pages, uint64_t offset, const void *buf, size_t len,
                          GError **error);

/**
 * Return the dirty sectors, vhdx_pages_dirty_count() of them, ordered by offset. The pages are
 * borrowed; the caller frees the array with g_free().
 */
CstPage **vhdx_pages_dirty(VhdxPages *pages, GError **error);
/**
 * Record that all dirty sectors are in the log with their present content; they become clean.
 * @dirty is from vhdx_pages_dirty(), with at most VHDX_LOG_PAGES sectors. All sectors that were
 * logged before must be checkpointed.
 */
void vhdx_pages_logged(VhdxPages *pages, CstPage *const *dirty);
/**
 * Write the sectors that are only in the log to their places in the file, with their logged
 * content. Does not flush. May be repeated after a failure.
 */
gboolean vhdx_pages_checkpoint(VhdxPages *pages, GError **error);
/** Drop all pages. No sector may be dirty or only in the log. */
void vhdx_pages_clear(VhdxPages *pages);
