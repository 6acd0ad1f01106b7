/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/room.h>
#include <blob/blob.h>

/**
 * Whether a copy is certain not to fit, found out before the first byte is written.
 *
 * The bytes that a source has allocated decide where they fit. Where they do not, the source is
 * read, because allocated bytes that are zeroes take no space in a copy. The reading ends as soon
 * as more bytes were found than are free.
 */

/** Sums up the bytes of @blob that are not known to be zeroes. Reads no content. */
gboolean cst_blob_data_size(CstBlob *blob, CstTask *task, uint64_t *ret_size, GError **error);

/**
 * Whether a copy of @from fits into @room: *ret_needed is 0, or the bytes that the copy needs. A
 * room that is not known holds any copy, and so does one in which @from's file lies and may be
 * shared. @whole: every byte of the copy takes space.
 */
gboolean cst_room_check_copy(const CstRoom *room, CstBlob *from, gboolean whole, CstTask *task,
                             uint64_t *ret_needed, GError **error);
