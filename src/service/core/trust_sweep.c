/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removes the records of declarations for files that were deleted by other tools. A file that is
 * missing from its directory may have been moved to another pool, which identifies it by inode and
 * birth time. It may also be away only for a while. A removed record removes a declaration; for a
 * raw file, the declaration that its content is not an image. Therefore a record is dropped only if
 * its file
 *
 * - is not in its directory under any name, and no other file has its name there, after a scan of
 *   the whole directory, which fails if a mount is missing;
 * - is in no other pool; all pools must be active and scanned, because the contents of the other
 *   ones are unknown;
 * - has not been seen for a week.
 */
#include "trust_sweep.h"

#include <base/dry_run.h>
#include <base/log.h>
#include <store/declarations.h>

#include "pool.h"
#include "service.h"

#define EVERY_US   (3600 * (gint64)G_USEC_PER_SEC)
#define PATIENCE_S (7 * 24 * 3600)

typedef struct {
    CstPool *pool;
    const VolumeTable *found;
    GHashTable *files; /* set of CstFileId: all files of pools; NULL: not collected yet */
    gboolean unknown;  /* the files of some pool are unknown */
} Sweep;

static void sweep_add_files(Sweep *sweep, const VolumeTable *volumes)
{
    GHashTableIter iter;
    gpointer volume;

    volume_table_iter_init(&iter, volumes);
    while (g_hash_table_iter_next(&iter, NULL, &volume)) {
        const CstFileId id = cst_volume_file_id(volume);

        g_hash_table_add(sweep->files, g_memdup2(&id, sizeof(id)));
    }
}

/* The lock is held during the iteration, which does no storage I/O. */
static void collect_pool(Sweep *sweep, CstPool *pool)
{
    g_mutex_lock(&pool->lock);
    if (cst_pool_type_has_files(pool->def->type)) {
        sweep->unknown |= !pool->active || !pool->scanned || pool->inaccessible;
        sweep_add_files(sweep, pool->volumes);
    }
    g_mutex_unlock(&pool->lock);
}

/*
 * Collects the files of all pools, which may be many. Runs only when the first file is missing,
 * which is rare. References are acquired first, so that the tables' lock is not held together with
 * the locks of pools.
 */
static void collect_all(Sweep *sweep)
{
    CstService *service = sweep->pool->service;
    g_autoptr(GPtrArray) others = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);
    GHashTableIter iter;
    gpointer pool;

    sweep->files = g_hash_table_new_full(cst_file_id_hash, cst_file_id_equal, g_free, NULL);
    sweep_add_files(sweep, sweep->found);
    g_mutex_lock(&service->tables);
    g_hash_table_iter_init(&iter, service->pools_by_name);
    while (g_hash_table_iter_next(&iter, NULL, &pool))
        if (pool != sweep->pool)
            g_ptr_array_add(others, cst_pool_ref(pool));
    g_mutex_unlock(&service->tables);
    for (guint i = 0; i < others->len; i++)
        collect_pool(sweep, g_ptr_array_index(others, i));
}

/* Implements CstDeclarationSweep.look. A record that is kept too long does no harm. */
static CstDeclaredPresence sweep_find_file(const char *name, const CstFileId *id, gpointer data)
{
    Sweep *sweep = data;

    /* A volume in the trash is in no table. Its record is removed together with it. */
    if (cst_name_is_trash(name) || volume_table_get(sweep->found, name))
        return CST_DECLARED_PRESENT;
    if (!sweep->files)
        collect_all(sweep);
    if (g_hash_table_contains(sweep->files, id))
        return CST_DECLARED_PRESENT;
    return sweep->unknown ? CST_DECLARED_UNKNOWN : CST_DECLARED_MISSING;
}

void trust_sweep(CstPool *pool, CstPoolState *state, const VolumeTable *found)
{
    Sweep sweep = {.pool = pool, .found = found};
    const CstDeclarationSweep how = {.look = sweep_find_file,
                                     .data = &sweep,
                                     .now = g_get_real_time() / G_USEC_PER_SEC,
                                     .grace_period = PATIENCE_S};
    gint64 now = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    if (cst_dry_run() || !state->def->target_path || !cst_pool_state_holds_images(state) ||
        (pool->swept_at && now - pool->swept_at < EVERY_US))
        return;
    if (!cst_declarations_sweep(pool->service->declarations, state->def->target_path, &how, &error))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
    /*
     * Repeat an incomplete sweep with the next scan, because further pools may be scanned by then.
     */
    if (!sweep.unknown)
        pool->swept_at = now;
    if (sweep.files)
        g_hash_table_unref(sweep.files);
}
