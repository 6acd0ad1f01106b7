/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** Returns the size of @blob, which must be known. */
static inline uint64_t size_of(CstBlob *blob)
{
    uint64_t size = 0;

    g_assert_true(cst_blob_get_size(blob, &size, NULL));
    return size;
}
