/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/room.h>
#include <blob/blob.h>

/**
 * Checks before the first byte is written whether a copy is certain not to fit.
 *
 * The copy fits if the allocated bytes of the source fit. Otherwise the source is read, because
 * allocated bytes that are zeroes need no space in a copy. The reading ends as soon as the data
 * found exceeds the free space.
 */

/** Compute the number of bytes of @blob that are not known to be zeroes. Reads no content. */
gboolean cst_blob_data_size(CstBlob *blob, CstTask *task, uint64_t *ret_size, GError **error);

/**
 * Check whether a copy of @from fits into @room: *ret_needed is 0, or the number of bytes that the
 * copy needs. The copy is assumed to fit if the room is unknown, or if it may share extents with
 * @from's file. @whole: every byte of the copy needs space.
 */
gboolean cst_room_check_copy(const CstRoom *room, CstBlob *from, gboolean whole, CstTask *task,
                             uint64_t *ret_needed, GError **error);
