/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** A flag in addition to CstExtentFlags: the image holds nothing here; its backing decides. */
#define CST_EXTENT_BELOW (1u << 16)

/**
 * Creates a stand-in for a backing image, for finding out what the image above holds itself. It
 * reads as @inner (referenced; NULL: none) followed by zeroes, has no end, and marks all extents
 * with CST_EXTENT_BELOW. Read-only; any number of threads.
 */
CstBlob *cst_marker_new(CstBlob *inner);
