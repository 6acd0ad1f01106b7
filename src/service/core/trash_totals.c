/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The number of volumes in a pool's trash and their allocation, kept in memory.
 *
 * Each volume in the trash has a record, and the directory of the records has a time of its last
 * change. While this stamp is the same, the totals are the same. Otherwise the names of the records
 * are listed, and only new ones are examined. So the totals follow changes by this process and by
 * other processes, and a restart begins with an empty table.
 *
 * A stamp is not relied on while the change is younger than the resolution of the file system's
 * clock, or while a record has no volume, because a deletion writes the record before the rename.
 *
 * The table is immutable and shared by reference. pool->lock guards the reference, and is not held
 * while the storage is accessed. Of two concurrent queries the later one sets the table. Both
 * tables were valid, and their stamps show later changes. A query drops its table if the totals
 * were forgotten meanwhile, because it may have copied from the former table.
 */
#include "trash_totals.h"

#include <string.h>

#include <base/log.h>
#include <base/test_point.h>
#include <service/trash.h>
#include <store/trash.h>

#include "service.h"
#include "trash_table.h"

static TrashTotals *trash_totals_get(CstPool *pool, guint64 *ret_forgets)
{
    TrashTotals *totals;

    g_mutex_lock(&pool->lock);
    totals = pool->trash_totals ? trash_totals_ref(pool->trash_totals) : NULL;
    *ret_forgets = pool->trash_totals_forgets;
    g_mutex_unlock(&pool->lock);
    return totals;
}

/*
 * Consumes @totals. Drops it if the pool was stopped since @state was acquired, or the totals were
 * forgotten since @forgets was read.
 */
static void trash_totals_set(CstPool *pool, const CstPoolState *state, guint64 forgets,
                             TrashTotals *totals)
{
    TrashTotals *old = totals;

    g_mutex_lock(&pool->lock);
    if (pool_state_is_current(pool, state) && pool->trash_totals_forgets == forgets) {
        old = pool->trash_totals;
        pool->trash_totals = totals;
    }
    g_mutex_unlock(&pool->lock);
    trash_totals_unref(old);
}

void trash_totals_forget(CstPool *pool)
{
    TrashTotals *old;

    g_mutex_lock(&pool->lock);
    old = g_steal_pointer(&pool->trash_totals);
    pool->trash_totals_forgets++;
    g_mutex_unlock(&pool->lock);
    trash_totals_unref(old);
}

/* Examines a volume that @totals does not have. A record that cannot be read does not count. */
static gboolean trash_totals_examine(CstPool *pool, CstPoolState *state, const char *hidden,
                                     TrashTotals *totals, GError **error)
{
    g_autoptr(CstTrashed) record = NULL;
    g_autoptr(CstVolume) volume = NULL;
    g_autoptr(GError) why = NULL;

    CST_TEST_POINT("trash.totals.examine");
    if (!cst_trash_find(pool->service->paths, &pool->uuid, hidden, &record, &why)) {
        cst_log(CST_LOG_WARNING, "%s", why->message);
        return TRUE;
    }
    if (!record)
        return TRUE;
    if (!cst_pool_state_scan_any(state, hidden, NULL, &volume, error))
        return FALSE;
    if (volume)
        trash_totals_add(totals, hidden, volume->allocation);
    else
        totals->reliable = FALSE;
    return TRUE;
}

/*
 * Lists the records. Allocations are copied from @known (may be NULL). Returns NULL with an error.
 */
static TrashTotals *trash_totals_count(CstPool *pool, CstPoolState *state, const TrashTotals *known,
                                       CstTask *task, GError **error)
{
    const CstPaths *paths = pool->service->paths;
    gboolean settled;
    char *stamp = cst_trash_stamp(paths, &pool->uuid, &settled);
    g_autoptr(TrashTotals) totals = trash_totals_new(stamp, settled);
    g_autoptr(GPtrArray) names = cst_trash_names(paths, &pool->uuid, error);

    if (!names)
        return NULL;
    CST_TEST_POINT("trash.totals.listed");
    for (guint i = 0; i < names->len; i++) {
        const char *hidden = names->pdata[i];
        const uint64_t *allocation = known ? g_hash_table_lookup(known->allocations, hidden) : NULL;

        if (!cst_task_check(task, error))
            return NULL;
        if (allocation)
            trash_totals_add(totals, hidden, *allocation);
        else if (!trash_totals_examine(pool, state, hidden, totals, error))
            return NULL;
    }
    return g_steal_pointer(&totals);
}

/* Without the storage the number of records is known only. */
static gboolean count_records(CstPool *pool, CstTrashTotals *ret_totals, GError **error)
{
    g_autoptr(GPtrArray) names = cst_trash_names(pool->service->paths, &pool->uuid, error);

    if (names)
        *ret_totals = (CstTrashTotals){.volumes = names->len};
    return names != NULL;
}

gboolean cst_pool_trash_totals(CstPool *pool, CstTask *task, CstTrashTotals *ret_totals,
                               GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    guint64 forgets;
    g_autoptr(TrashTotals) totals = trash_totals_get(pool, &forgets);
    g_autofree char *stamp = NULL;
    gboolean settled;

    if (!state)
        return count_records(pool, ret_totals, error);
    stamp = cst_trash_stamp(pool->service->paths, &pool->uuid, &settled);
    if (!totals || !totals->reliable || strcmp(totals->stamp, stamp) != 0) {
        TrashTotals *counted = trash_totals_count(pool, state, totals, task, error);

        if (!counted)
            return FALSE;
        trash_totals_unref(totals);
        totals = counted;
        trash_totals_set(pool, state, forgets, trash_totals_ref(totals));
    }
    *ret_totals = (CstTrashTotals){.volumes = g_hash_table_size(totals->allocations),
                                   .has_size = TRUE,
                                   .allocation = totals->allocation};
    return TRUE;
}
