/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * The image's tables (block allocation table, sector bitmaps, metadata) as sectors of 4 KiB by
 * their offset in the file. Sectors that are not changed come and go; a changed one stays until it
 * is in the log and in its place. Not locked.
 */
typedef struct VhdxPages VhdxPages;

VhdxPages *vhdx_pages_new(CstBlob *blob); /**< borrowed */
void vhdx_pages_free(VhdxPages *pages);

/** The sector that holds @offset; the pointer holds until a few more have been asked for. */
uint8_t *vhdx_page_get(VhdxPages *pages, uint64_t offset, GError **error);
/** Its content has changed. It has just been got. */
void vhdx_page_changed(VhdxPages *pages, uint64_t offset);
unsigned vhdx_pages_changed(const VhdxPages *pages);

/** Bytes that may lie across sectors; writing changes those sectors. */
gboolean vhdx_pages_read(VhdxPages *pages, uint64_t offset, void *buf, size_t len, GError **error);
gboolean vhdx_pages_write(VhdxPages *pages, uint64_t offset, const void *buf, size_t len,
                          GError **error);

/** Fills both arrays with up to @max changed sectors, by offset. */
unsigned vhdx_pages_list(const VhdxPages *pages, uint64_t *offsets, const uint8_t **contents,
                         unsigned max);
/** All changed sectors, as they are now, are in the log. */
void vhdx_pages_logged(VhdxPages *pages);
/** Writes what is in the log to its place, as it was logged; what failed is tried again later. */
gboolean vhdx_pages_place(VhdxPages *pages, GError **error);
/** Forgets everything. Nothing is changed or only in the log. */
void vhdx_pages_drop(VhdxPages *pages);
