/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** A flag in addition to CstExtentFlags: the image is unallocated here, and its backing image
 * provides the content. */
#define CST_EXTENT_BELOW (1u << 16)

/**
 * Creates a replacement of a backing image, which shows the image's own content by its extents. It
 * reads as @inner (referenced; NULL: empty) followed by zeroes, has no end, and marks all extents
 * with CST_EXTENT_BELOW. Read-only; any number of threads.
 */
CstBlob *cst_marker_new(CstBlob *inner);
