/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdlib.h>

#include <base/changed.h>

/** For targets that read what tools say has changed. */

#define CHANGED_CAPACITY (UINT64_C(8) << 20)

/**
 * Reads @size bytes at @data in parts of @step bytes, of a volume of CHANGED_CAPACITY bytes that
 * had half as many before. FALSE: they are refused.
 */
typedef gboolean (*ChangedRead)(const uint8_t *data, size_t size, size_t step, CstChanged *changed);

/** The reported ranges are in order, inside of the volume, and fit into the array. */
static inline void changed_check(const CstChanged *changed)
{
    uint64_t last = 0;

    for (guint i = 0; i < changed->ranges->len; i++) {
        const CstRange *range = &g_array_index(changed->ranges, CstRange, i);

        if (range->length == 0 || range->offset < last || range->offset > CHANGED_CAPACITY ||
            range->length > CHANGED_CAPACITY - range->offset)
            abort();
        last = range->offset + range->length;
    }
    if (changed->next < last || changed->next > CHANGED_CAPACITY ||
        changed->ranges->len > changed->max)
        abort();
}

/**
 * The first byte says into parts of which length the rest is cut, and how many ranges there is room
 * for. The answer may not depend on the former.
 */
static inline void changed_fuzz(const uint8_t *data, size_t size, ChangedRead read)
{
    const guint max = size > 0 ? 1 + data[0] % 16 : 1;
    const size_t step = size > 0 ? 1 + data[0] / 16 * 60 : 1;
    g_auto(CstChanged) whole = {.max = max}, parts = {.max = max};
    gboolean read_whole, read_parts;

    if (size == 0)
        return;
    read_whole = read(data + 1, size - 1, size, &whole);
    read_parts = read(data + 1, size - 1, step, &parts);
    changed_check(&whole);
    changed_check(&parts);
    if (read_whole != read_parts || whole.next != parts.next ||
        whole.ranges->len != parts.ranges->len)
        abort();
}
