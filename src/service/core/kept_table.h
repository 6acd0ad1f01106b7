/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** The promise of the snapshots of one volume. */
typedef struct {
    uint64_t bytes; /* above 0 */
    gsize turn;     /* number of the change that had it listed; 0: it was listed without a change */
} KeptSum;

/** The promises of the snapshots that a pool's technology keeps, by volume (kept_snapshots.h). */
typedef struct KeptSnapshots {
    GHashTable *sums;     /* name (owned) to KeptSum * (owned) */
    GHashTable *outdated; /* name (owned) to the number of its last change */
    gsize turn;           /* number of the last change of all volumes */
    gboolean used;        /* a listing has begun; before that, changes need no record */
    gboolean listed;      /* the names of the volumes with snapshots are known */
    guint64 forgets;      /* number of calls of kept_snapshots_forget() */
    guint64 outdatings;   /* number of calls of kept_snapshots_outdate() */
} KeptSnapshots;

KeptSnapshots *kept_snapshots_new(void);
void kept_snapshots_free(KeptSnapshots *kept);
/** Forgets the snapshots of a volume that was removed. Requires the pool's lock. */
void kept_snapshots_remove(KeptSnapshots *kept, const char *name);
/**
 * Has the volumes with snapshots looked up again, because another program may have created some.
 * Requires the pool's lock.
 */
void kept_snapshots_outdate(KeptSnapshots *kept);
/** Returns the known promise of the snapshots of @name. Requires the pool's lock. */
uint64_t kept_snapshots_of(const KeptSnapshots *kept, const char *name);
