/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** Of @length bytes at @offset the first @wanted are a run with @flags. */
static inline void assert_extent(CstBlob *blob, uint64_t offset, uint64_t length, uint64_t wanted,
                                 unsigned flags)
{
    CstExtent extent;

    assert_true(cst_blob_extent(blob, offset, length, &extent, NULL));
    assert_int_equal(extent.offset, offset);
    assert_int_equal(extent.length, wanted);
    assert_int_equal(extent.flags, flags);
}
