/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>

#include <blob/blob.h>

/**
 * Returns the first offset from @from on at which @a and @b differ, or @len. memcmp() skips equal
 * blocks, because byte loops take most of a test's time without optimization.
 */
static inline uint64_t next_difference(const uint8_t *a, const uint8_t *b, uint64_t from,
                                       uint64_t len)
{
    for (uint64_t n; from < len; from += n) {
        n = MIN(len - from, 4096);
        if (memcmp(a + from, b + from, (size_t)n) == 0)
            continue;
        while (a[from] == b[from])
            from++;
        return from;
    }
    return len;
}

/** All @len bytes at @bytes are @value. */
static inline gboolean is_all(const uint8_t *bytes, size_t len, uint8_t value)
{
    return len == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/** Asserts that the extents cover the image without gaps, and that zero extents are zero. */
static inline void assert_extents_hold(CstBlob *guest, const uint8_t *model, uint64_t size)
{
    for (uint64_t at = 0; at < size;) {
        CstExtent extent;

        g_assert_true(cst_blob_extent(guest, at, size - at, &extent, NULL));
        if (extent.flags & CST_EXTENT_ZERO)
            g_assert_true(cst_bytes_are_zero(model + at, extent.length));
        at += extent.length;
    }
}
