/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ranges that may have changed, collected in ascending order up to a maximum number. */
#include <base/changed.h>

void cst_changed_clear(CstChanged *changed)
{
    g_clear_pointer(&changed->ranges, g_array_unref);
    g_clear_pointer(&changed->identity, g_free);
    changed->next = changed->capacity = 0;
}

void cst_changed_begin(CstChanged *changed, uint64_t capacity, char *identity)
{
    cst_changed_clear(changed);
    changed->ranges = g_array_new(FALSE, FALSE, sizeof(CstRange));
    changed->identity = identity ? identity : g_strdup("");
    changed->capacity = capacity;
    changed->next = MIN(changed->offset, capacity);
}

gboolean cst_changed_add(CstChanged *changed, uint64_t offset, uint64_t length)
{
    uint64_t from = MAX(offset, changed->next);
    uint64_t to = MIN(offset + length, changed->capacity);
    const CstRange range = {from, to - from};
    guint count = changed->ranges->len;
    CstRange *last = count > 0 ? &g_array_index(changed->ranges, CstRange, count - 1) : NULL;

    if (to <= from)
        return TRUE;
    if (last && last->offset + last->length == from) {
        last->length += range.length;
    } else if (count < changed->max) {
        g_array_append_val(changed->ranges, range);
    } else {
        changed->next = from;
        return FALSE;
    }
    changed->next = to;
    return TRUE;
}

void cst_changed_end(CstChanged *changed, uint64_t older)
{
    if (older >= changed->capacity || cst_changed_add(changed, older, changed->capacity - older))
        changed->next = changed->capacity;
}
