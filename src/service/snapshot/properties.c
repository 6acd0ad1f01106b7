/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Properties of many volumes in one call: the base and the number of snapshots. The answer comes
 * from the pool's table. A volume is queried by itself only if it may have snapshots. So the cost
 * of other volumes is a lookup in a table.
 *
 * The threads that list snapshots share the task of the call, which has one state "waiting". They
 * do not wait for a volume that is claimed by another operation. Its snapshots are unknown.
 */
#include <base/error.h>
#include <base/flags.h>
#include <base/threads.h>
#include <service/snapshots.h>

#include "core/pool.h"
#include "core/scan.h"
#include "core/table.h"
#include "provider.h"
#include "volume/create/clone.h"

#define SNAPSHOT_THREADS 16 /* concurrent lists of the snapshots of a volume */

/* Values in place of a number of snapshots. */
#define NO_SNAPSHOTS_POSSIBLE (-1)
#define SNAPSHOTS_UNKNOWN     (-2) /* the snapshots must be listed */

typedef struct {
    CstPool *pool;
    CstPoolState *state;
    const char *const *names;
    GHashTable *with_snapshots; /* names of volumes of which the pool keeps some; NULL: unknown */
    CstTask *task;
    CstVolProperties *properties;
    GArray *unknown; /* guint: places of the volumes with SNAPSHOTS_UNKNOWN */
} Query;

static void vol_properties_clear(gpointer data)
{
    g_free(((CstVolProperties *)data)->backing);
}

/*
 * Returns the number of snapshots, or one of the values above. It is 0 if the table shows a volume
 * without snapshots. A header that records snapshots is no evidence that their table can be read.
 */
static int64_t known_snapshots(const Query *query, const CstVolume *volume)
{
    gboolean in_image = volume_keeps_snapshots(volume);
    gboolean in_pool =
        cst_pool_state_has_snapshots(query->state) && (in_image || volume->type != CST_VOL_DIR);

    if (!in_image && !in_pool)
        return NO_SNAPSHOTS_POSSIBLE;
    if (in_pool &&
        (!query->with_snapshots || g_hash_table_contains(query->with_snapshots, volume->name)))
        return SNAPSHOTS_UNKNOWN;
    if (!in_image)
        return 0;
    return cst_pool_state_holds_images(query->state) && !cst_volume_problem(volume) &&
                   (!volume->extra || volume->extra->snapshots == 0)
               ? 0
               : SNAPSHOTS_UNKNOWN;
}

static void query_volume(Query *query, guint i, const CstVolume *volume, unsigned wants)
{
    CstVolProperties *properties = &query->properties[i];

    properties->snapshots = -1;
    if (!volume)
        return;
    if (wants & CST_VOL_PROPERTY_BACKING)
        properties->backing = cst_volume_backing(volume);
    if (!(wants & CST_VOL_PROPERTY_SNAPSHOTS))
        return;
    properties->snapshots = known_snapshots(query, volume);
    if (properties->snapshots == SNAPSHOTS_UNKNOWN)
        g_array_append_val(query->unknown, i);
}

/* Implements the function of cst_threads_each(). */
static void query_snapshots(guint i, gpointer data)
{
    const Query *query = data;
    guint place = g_array_index(query->unknown, guint, i);
    g_auto(SnapshotTarget) target = {.claim.task = query->task, .claim.at_once = TRUE};
    const SnapshotProvider *provider =
        cst_task_check(query->task, NULL)
            ? snapshot_claim(&target, query->pool, query->names[place], CLAIM_READ, NULL, NULL)
            : NULL;
    g_autoptr(GPtrArray) snapshots = provider ? snapshot_list_all(provider, &target, NULL) : NULL;

    query->properties[place].snapshots = snapshots ? (int64_t)snapshots->len : -1;
}

GArray *cst_pool_vols_properties(CstPool *pool, const char *const *names, guint count,
                                 unsigned wants, CstTask *task, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(GArray) all = g_array_new(FALSE, TRUE, sizeof(CstVolProperties));
    g_autoptr(GArray) unknown = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GHashTable) with_snapshots = NULL;
    g_autoptr(GPtrArray) volumes = NULL;
    Query query = {.pool = pool, .state = state, .names = names, .task = task, .unknown = unknown};

    if (!state || !(wants & CST_VOL_PROPERTIES_RESCAN ? pool_rescan_aged(pool, state, error)
                                                      : pool_scan_if_new(pool, state, error)))
        return NULL;
    g_array_set_clear_func(all, vol_properties_clear);
    g_array_set_size(all, count);
    query.properties = (CstVolProperties *)all->data;
    /* After a failure, the snapshots of each volume are listed, and fail by themselves. */
    if (wants & CST_VOL_PROPERTY_SNAPSHOTS)
        cst_pool_state_snapshot_volumes(state, &with_snapshots, NULL);
    query.with_snapshots = with_snapshots;
    volumes = pool_table_known_page(pool, names, count);
    for (guint i = 0; i < count; i++)
        query_volume(&query, i, volumes->pdata[i], wants);
    cst_threads_each(query_snapshots, &query, unknown->len, SNAPSHOT_THREADS);
    return cst_task_check(task, error) ? g_steal_pointer(&all) : NULL;
}
