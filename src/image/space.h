/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/** Space of the physical blob, for those that make or grow an image. */

/**
 * Drops the content and sets the size. A blob of fixed size (a block device) that is large enough
 * keeps its size and content and *ret_zeroed is FALSE: the caller zeroes what it needs zeroed; a
 * smaller one is NO_SPACE.
 */
gboolean cst_space_reset(CstBlob *blob, uint64_t size, gboolean *ret_zeroed, GError **error);

/**
 * FALLOC reserves the range (written out where nothing can be reserved), FULL writes zeroes; OFF
 * and METADATA do nothing. Keeps no content. @task advances by @length unless OFF.
 */
gboolean cst_space_preallocate(CstBlob *blob, uint64_t offset, uint64_t length,
                               CstPreallocation preallocation, CstTask *task, GError **error);
