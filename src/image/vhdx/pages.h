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

VhdxPages *vhdx_pages_new(CstBlob *blob); /**< borrowed */
void vhdx_pages_free(VhdxPages *pages);

/** The sector that holds @offset; what the file is too short for is zero. Valid until the next. */
CstPage *vhdx_page_get(VhdxPages *pages, uint64_t offset, GError **error);
/** Marks a sector dirty. */
gboolean vhdx_page_dirty(VhdxPages *pages, CstPage *page, GError **error);
unsigned vhdx_pages_dirty_count(const VhdxPages *pages);

/** Reads or writes bytes that may lie across sectors; writing marks those sectors dirty. */
gboolean vhdx_pages_read(VhdxPages *pages, uint64_t offset, void *buf, size_t len, GError **error);
gboolean vhdx_pages_write(VhdxPages *pages, uint64_t offset, const void *buf, size_t len,
                          GError **error);

/** The dirty sectors (borrowed), vhdx_pages_dirty_count() of them, ordered by offset. Free the
 *  array. */
CstPage **vhdx_pages_dirty(VhdxPages *pages, GError **error);
/**
 * All dirty sectors (@dirty, of vhdx_pages_dirty(); at most VHDX_LOG_PAGES) have been written to
 * the log as they are now. What was logged before has been checkpointed.
 */
void vhdx_pages_logged(VhdxPages *pages, CstPage *const *dirty);
/** Writes the sectors that are only in the log to the file, as they were logged. May be repeated
 *  when it fails. */
gboolean vhdx_pages_checkpoint(VhdxPages *pages, GError **error);
/** Forgets everything. Nothing is dirty or only in the log. */
void vhdx_pages_clear(VhdxPages *pages);
