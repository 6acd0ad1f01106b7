/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The promises of the snapshots that a pool's technology keeps.
 *
 * A snapshot can need as much space as its volume had: each block that a guest overwrites stays
 * allocated for the snapshot. A snapshot with a limit needs at most that limit.
 *
 * The sums are in memory, by volume. The first query lists the volumes with snapshots. Later
 * queries list the volumes that this service has changed (outdated). A scan of the whole pool has
 * the names of the volumes with snapshots compared again. A new snapshot by another program is
 * counted from then on if its volume had no snapshot before, else from the next refresh of the pool
 * on.
 *
 * pool->lock guards the sums, and is not held while the storage is accessed. Each change has a
 * number (turn). The result of a listing is stored if the volume has still the same number.
 * Otherwise the name stays outdated.
 */
#include "kept_snapshots.h"

#include <base/error.h>
#include <base/test_point.h>

void kept_snapshots_changed(CstPool *pool, const char *name)
{
    g_mutex_lock(&pool->lock);
    if (pool->kept->used)
        g_hash_table_insert(pool->kept->outdated, g_strdup(name),
                            GSIZE_TO_POINTER(++pool->kept->turn));
    g_mutex_unlock(&pool->lock);
}

void kept_snapshots_forget(CstPool *pool)
{
    g_mutex_lock(&pool->lock);
    g_hash_table_remove_all(pool->kept->sums);
    g_hash_table_remove_all(pool->kept->outdated);
    pool->kept->listed = FALSE;
    pool->kept->forgets++;
    g_mutex_unlock(&pool->lock);
}

/* --- sums ------------------------------------------------------------------------------------- */

/* Deleted volumes in the trash are not in the table, and not counted. */
uint64_t kept_snapshots_known(const CstPool *pool)
{
    uint64_t sum = 0;
    GHashTableIter iter;
    gpointer name, kept;

    g_hash_table_iter_init(&iter, pool->kept->sums);
    while (g_hash_table_iter_next(&iter, &name, &kept))
        if (volume_table_get(pool->volumes, name))
            sum += MIN(((const KeptSum *)kept)->bytes, UINT64_MAX - sum);
    return sum;
}

gboolean kept_snapshots_add(CstPoolState *state, const char *name, uint64_t *bytes, GError **error)
{
    g_autoptr(GPtrArray) list = NULL;

    if (!cst_pool_state_has_snapshots(state))
        return TRUE;
    list = cst_pool_state_snapshots(state, name, error);
    for (guint i = 0; list && i < list->len; i++) {
        const CstSnapshot *snapshot = g_ptr_array_index(list, i);
        uint64_t size = snapshot->limit ? snapshot->limit : snapshot->capacity;

        *bytes += MIN(size, G_MAXINT64 - MIN(*bytes, (uint64_t)G_MAXINT64));
    }
    return list != NULL;
}

/* --- listing ---------------------------------------------------------------------------------- */

/* The work of one listing, from a copy of the pool's state. */
typedef struct {
    GHashTable *names; /* name (owned) to the turn of its change; 0: it is not outdated */
    GHashTable *with;  /* names of the volumes that may have snapshots; NULL: not looked up */
    gsize turn;        /* of the last change before the look-up */
    guint64 forgets, outdatings;
} Listing;

static void listing_clear(Listing *listing)
{
    g_clear_pointer(&listing->names, g_hash_table_unref);
    g_clear_pointer(&listing->with, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Listing, listing_clear)

/*
 * Adds the volumes of the table without a known sum. If the technology can list the names with
 * snapshots, no other volume has snapshots. Requires the pool's lock.
 */
static void listing_add_unknown(Listing *listing, const CstPool *pool)
{
    GHashTableIter iter;
    gpointer name;

    volume_table_iter_init(&iter, pool->volumes);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        gboolean known = listing->with && (!g_hash_table_contains(listing->with, name) ||
                                           g_hash_table_contains(pool->kept->sums, name));

        if (!known && !g_hash_table_contains(listing->names, name))
            g_hash_table_insert(listing->names, g_strdup(name), GSIZE_TO_POINTER(0));
    }
}

/* Collects the names to list. *ret_listed: the set of volumes with snapshots is known. */
static gboolean listing_begin(Listing *listing, CstPool *pool, CstPoolState *state, GError **error)
{
    GHashTableIter iter;
    gpointer name, turn;
    gboolean listed;

    g_mutex_lock(&pool->lock);
    listed = pool->kept->listed;
    listing->turn = pool->kept->turn;
    listing->outdatings = pool->kept->outdatings;
    pool->kept->used = TRUE;
    g_mutex_unlock(&pool->lock);
    if (!listed && !cst_pool_state_snapshot_volumes(state, &listing->with, error))
        return FALSE;
    CST_TEST_POINT("kept_snapshots.list.named");
    listing->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_mutex_lock(&pool->lock);
    listing->forgets = pool->kept->forgets;
    g_hash_table_iter_init(&iter, pool->kept->outdated);
    while (g_hash_table_iter_next(&iter, &name, &turn))
        g_hash_table_insert(listing->names, g_strdup(name), turn);
    if (!listed)
        listing_add_unknown(listing, pool);
    g_mutex_unlock(&pool->lock);
    return TRUE;
}

/* Lists the snapshots of one volume. A removed volume has no snapshots. */
static gboolean listing_read(CstPoolState *state, const char *name, uint64_t *ret_bytes,
                             GError **error)
{
    g_autoptr(GError) why = NULL;

    *ret_bytes = 0;
    if (kept_snapshots_add(state, name, ret_bytes, &why) ||
        g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Stores the sum, unless the volume has changed since the turn @turn. */
static void listing_store(const Listing *listing, CstPool *pool, const char *name, gpointer turn,
                          uint64_t bytes)
{
    const KeptSum sum = {bytes, GPOINTER_TO_SIZE(turn)};
    KeptSnapshots *kept = pool->kept;

    g_mutex_lock(&pool->lock);
    if (kept->forgets == listing->forgets && g_hash_table_lookup(kept->outdated, name) == turn) {
        g_hash_table_remove(kept->outdated, name);
        if (bytes > 0)
            g_hash_table_insert(kept->sums, g_strdup(name), g_memdup2(&sum, sizeof(sum)));
        else
            g_hash_table_remove(kept->sums, name);
    }
    g_mutex_unlock(&pool->lock);
}

/*
 * Removes the sums of volumes that have no snapshots any more. If a volume has changed since its
 * name was looked up, its sum is newer than the names, and stays. Requires the lock.
 */
static void listing_drop_missing(const Listing *listing, KeptSnapshots *kept)
{
    GHashTableIter iter;
    gpointer name, sum;

    if (!listing->with)
        return;
    g_hash_table_iter_init(&iter, kept->sums);
    while (g_hash_table_iter_next(&iter, &name, &sum))
        if (!g_hash_table_contains(listing->with, name) &&
            ((const KeptSum *)sum)->turn <= listing->turn)
            g_hash_table_iter_remove(&iter);
}

static gboolean kept_snapshots_list(CstPool *pool, CstPoolState *state, GError **error)
{
    g_auto(Listing) listing = {0};
    GHashTableIter iter;
    gpointer name, turn;

    if (!listing_begin(&listing, pool, state, error))
        return FALSE;
    g_hash_table_iter_init(&iter, listing.names);
    while (g_hash_table_iter_next(&iter, &name, &turn)) {
        uint64_t bytes;

        if (!listing_read(state, name, &bytes, error))
            return FALSE;
        CST_TEST_POINT("kept_snapshots.list.read");
        listing_store(&listing, pool, name, turn, bytes);
    }
    g_mutex_lock(&pool->lock);
    if (pool->kept->forgets == listing.forgets) {
        listing_drop_missing(&listing, pool->kept);
        /* A scan since then may have found volumes of other programs. */
        pool->kept->listed = pool->kept->outdatings == listing.outdatings;
    }
    g_mutex_unlock(&pool->lock);
    return TRUE;
}

/* A change while the lock was free has its volume listed again, so that the sum is complete. */
gboolean kept_snapshots_lock(CstPool *pool, CstPoolState *state, uint64_t *ret_promised,
                             GError **error)
{
    const gboolean kept = cst_pool_state_has_snapshots(state);

    for (;;) {
        g_mutex_lock(&pool->lock);
        if (!pool_state_is_current(pool, state)) {
            g_mutex_unlock(&pool->lock);
            return pool_not_active(pool, error);
        }
        if (!kept || (pool->kept->listed && g_hash_table_size(pool->kept->outdated) == 0)) {
            *ret_promised = kept ? kept_snapshots_known(pool) : 0;
            return TRUE;
        }
        g_mutex_unlock(&pool->lock);
        if (!kept_snapshots_list(pool, state, error))
            return FALSE;
    }
}
