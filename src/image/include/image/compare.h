/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** How two guests' views differ. */
typedef struct {
    gboolean same;       /**< all bytes are equal, and the rest of the longer one is zero */
    uint64_t offset;     /**< the first byte that differs, unless same */
    gboolean sizes_same; /**< both have the same length */
} CstDifference;

/**
 * Compares what is read from @a and @b (guest views, or any blobs), on several threads; where both
 * are known to be zero nothing is read. Advances @task by bytes, the longer one's size in all.
 */
gboolean cst_image_compare(CstBlob *a, CstBlob *b, CstDifference *ret_difference, CstTask *task,
                           GError **error);
