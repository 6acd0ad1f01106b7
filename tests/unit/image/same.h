/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>

/**
 * The first place from @from on at which @a and @b differ; @len: there is none. memcmp() passes
 * over what is equal, since loops over bytes take most of a test's time without optimization.
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
