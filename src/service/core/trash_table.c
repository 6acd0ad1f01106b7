/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of the volumes in a pool's trash. It does not change once other threads can see it. */
#include "trash_table.h"

TrashTotals *trash_totals_new(char *stamp, gboolean reliable)
{
    TrashTotals *totals = g_new0(TrashTotals, 1);

    totals->refs = 1;
    totals->stamp = stamp;
    totals->reliable = reliable;
    totals->allocations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return totals;
}

TrashTotals *trash_totals_ref(TrashTotals *totals)
{
    g_atomic_int_inc(&totals->refs);
    return totals;
}

void trash_totals_unref(TrashTotals *totals)
{
    if (!totals || !g_atomic_int_dec_and_test(&totals->refs))
        return;
    g_hash_table_unref(totals->allocations);
    g_free(totals->stamp);
    g_free(totals);
}

void trash_totals_add(TrashTotals *totals, const char *hidden, uint64_t allocation)
{
    g_hash_table_insert(totals->allocations, g_strdup(hidden),
                        g_memdup2(&allocation, sizeof(allocation)));
    totals->allocation += allocation;
}
