/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** Beside CstExtentFlags: the image does not hold this, its backing decides. */
#define CST_EXTENT_BELOW (1u << 16)

/**
 * A backing for images that are asked what they hold themselves: it reads as @inner (NULL: as
 * zeroes) with zeroes behind, without end, and all its extents are marked as BELOW.
 */
CstBlob *cst_mark_new(CstBlob *inner);
