/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool.h"

struct TrashTotals {
    gint refs;
    char *stamp;             /* of the directory of the records, before they were listed */
    gboolean reliable;       /* an equal stamp shows that the totals have not changed */
    GHashTable *allocations; /* hidden name to uint64_t *, in bytes */
    uint64_t allocation;     /* of all volumes */
};

/** Returns an empty table with one reference. Consumes @stamp. */
TrashTotals *trash_totals_new(char *stamp, gboolean reliable);
/** Returns @totals with a new reference. Any thread. */
TrashTotals *trash_totals_ref(TrashTotals *totals);
/** Drops a reference. NULL is accepted. */
void trash_totals_unref(TrashTotals *totals);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TrashTotals, trash_totals_unref)

/** Adds a volume. Call it only while the table is being filled in. */
void trash_totals_add(TrashTotals *totals, const char *hidden, uint64_t allocation);
