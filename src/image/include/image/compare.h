/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** The difference between two guests' views. */
typedef struct {
    gboolean same;       /**< all bytes are equal, and the rest of the longer one is zero */
    uint64_t offset;     /**< offset of the first difference, unless same */
    gboolean sizes_same; /**< both have the same length */
    uint64_t common;     /**< length of the shorter one in bytes */
} CstDifference;

/**
 * Compares the content of @a and @b (guest views, or any blobs) on several threads. Does not read
 * ranges that are known to be zero in both. Advances @task by bytes, in total the size of the
 * longer one.
 */
gboolean cst_image_compare(CstBlob *a, CstBlob *b, CstDifference *ret_difference, CstTask *task,
                           GError **error);
