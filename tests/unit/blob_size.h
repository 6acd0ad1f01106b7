/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/** Bytes of @blob, whose size can be told. */
static inline uint64_t size_of(CstBlob *blob)
{
    uint64_t size = 0;

    g_assert_true(cst_blob_get_size(blob, &size, NULL));
    return size;
}
