/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <image/image.h>

/** Space of the physical blob, for code that creates or grows an image. */

/**
 * Drops the content and sets the size. A blob of fixed size (a block device) that is large enough
 * keeps its size and content, and *ret_zeroed is FALSE. The caller then zeroes the ranges that must
 * be zero. NO_SPACE when the fixed size is too small.
 */
gboolean cst_space_reset(CstBlob *blob, uint64_t size, gboolean *ret_zeroed, GError **error);

/**
 * Preallocates a range, whose content is lost. FALLOC reserves it, or writes zeroes if the blob
 * cannot reserve space. FULL writes zeroes. OFF and METADATA have no effect. @task advances by
 * @length with FALLOC and FULL.
 */
gboolean cst_space_preallocate(CstBlob *blob, uint64_t offset, uint64_t length,
                               CstPreallocation preallocation, CstTask *task, GError **error);
