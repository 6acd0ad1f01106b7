/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of kept_snapshots.c, in memory. The pool's lock guards it. */
#include "kept_table.h"

KeptSnapshots *kept_snapshots_new(void)
{
    KeptSnapshots *kept = g_new0(KeptSnapshots, 1);

    kept->sums = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    kept->outdated = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return kept;
}

void kept_snapshots_free(KeptSnapshots *kept)
{
    g_hash_table_unref(kept->sums);
    g_hash_table_unref(kept->outdated);
    g_free(kept);
}

void kept_snapshots_remove(KeptSnapshots *kept, const char *name)
{
    g_hash_table_remove(kept->sums, name);
    g_hash_table_remove(kept->outdated, name);
}

void kept_snapshots_outdate(KeptSnapshots *kept)
{
    kept->listed = FALSE;
    kept->outdatings++;
}

uint64_t kept_snapshots_of(const KeptSnapshots *kept, const char *name)
{
    const KeptSum *sum = g_hash_table_lookup(kept->sums, name);

    return sum ? sum->bytes : 0;
}
