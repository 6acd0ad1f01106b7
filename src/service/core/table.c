/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of a pool's volumes from the last scan. Records are small, immutable and shared by
 * reference. The pool's lock guards the table and is held only briefly. scan.c contains all code
 * that reads storage.
 *
 * A running scan fills a new table. Names that this service changes during the scan are recorded in
 * pool->touched, because their records are newer than the result of the scan. The sorted list is
 * created on demand, and kept until the table changes.
 */
#include "table.h"

#include <string.h>

#include <base/test_point.h>

#include "kept_snapshots.h"
#include "pool.h"
#include "trash_totals.h"

void pool_table_unsort(CstPool *pool)
{
    pool->generation++;
    g_clear_pointer(&pool->sorted, g_ptr_array_unref);
}

/*
 * Records that this service changes @name. Sorted lists become outdated, and running scans must not
 * overwrite the change with an older result. Requires the lock.
 */
static void pool_table_note_change(CstPool *pool, const char *name)
{
    pool_table_unsort(pool);
    if (pool->touched)
        g_hash_table_add(pool->touched, g_strdup(name));
    for (guint i = 0; i < pool->name_scans->len; i++) {
        NameScan *scan = g_ptr_array_index(pool->name_scans, i);

        scan->outdated = scan->outdated || strcmp(scan->name, name) == 0;
    }
}

void pool_table_set(CstPool *pool, const char *name, CstVolume *volume)
{
    pool_table_note_change(pool, name);
    if (volume) {
        volume_table_set(pool->volumes, pool->def->target_path, volume);
    } else {
        volume_table_remove(pool->volumes, name);
        kept_snapshots_remove(pool->kept, name);
    }
}

void pool_table_remove(CstPool *pool, const char *name)
{
    g_mutex_lock(&pool->lock);
    pool_table_set(pool, name, NULL);
    g_hash_table_remove(pool->stale, name);
    g_mutex_unlock(&pool->lock);
}

/* Free the records without the lock, because they may be thousands. */
void pool_table_clear(CstPool *pool)
{
    VolumeTable *old;

    trash_totals_forget(pool);
    kept_snapshots_forget(pool);
    g_mutex_lock(&pool->lock);
    old = pool->volumes;
    pool->volumes = volume_table_new();
    pool->scanned = pool->unread = FALSE;
    g_hash_table_remove_all(pool->stale);
    pool_table_unsort(pool);
    g_mutex_unlock(&pool->lock);
    volume_table_free(old);
}

/* --- finding ---------------------------------------------------------------------------------- */

CstVolume *pool_table_found(CstPool *pool, const char *name)
{
    CstVolume *volume;

    g_mutex_lock(&pool->lock);
    volume = volume_table_get(pool->volumes, name);
    if (volume)
        cst_volume_ref(volume);
    g_mutex_unlock(&pool->lock);
    return volume;
}

/* Search the table first: from the commit to the end of a creation a name is in both. */
CstVolume *pool_table_find(CstPool *pool, const char *name)
{
    CstVolume *volume = volume_table_get(pool->volumes, name);
    const VolumeDraft *draft = volume ? NULL : g_hash_table_lookup(pool->drafts, name);

    if (volume)
        return cst_volume_ref(volume);
    return draft ? cst_volume_ref(draft->volume) : NULL;
}

CstVolume *pool_table_known(CstPool *pool, const char *name)
{
    CstVolume *volume;

    g_mutex_lock(&pool->lock);
    volume = pool_table_find(pool, name);
    g_mutex_unlock(&pool->lock);
    return volume;
}

GPtrArray *pool_table_known_page(CstPool *pool, const char *const *names, guint count)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *page = g_ptr_array_new_full(count, (GDestroyNotify)cst_volume_unref);

    for (guint i = 0; i < count; i++)
        g_ptr_array_add(page, g_hash_table_add(seen, (gpointer)names[i])
                                  ? pool_table_known(pool, names[i])
                                  : NULL);
    return page;
}

/* --- listing ---------------------------------------------------------------------------------- */

/* Byte order, because the pages of cst_pool_list_volumes() continue after a name. */
static int pool_table_compare_names(gconstpointer a, gconstpointer b)
{
    const CstVolume *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

/*
 * Counts the drafts that are not in the table as well, as they briefly are during a commit.
 * Requires the lock.
 */
static guint count_drafts(const CstPool *pool)
{
    guint count = 0;
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, pool->drafts);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        count += !volume_table_get(pool->volumes, name);
    return count;
}

guint pool_table_count(CstPool *pool)
{
    guint count;

    g_mutex_lock(&pool->lock);
    count = volume_table_size(pool->volumes) + count_drafts(pool);
    g_mutex_unlock(&pool->lock);
    return count;
}

/* Returns the volumes and drafts, unordered. Requires the lock. */
static GPtrArray *pool_table_collect(CstPool *pool)
{
    GPtrArray *all =
        g_ptr_array_new_full(volume_table_size(pool->volumes), (GDestroyNotify)cst_volume_unref);
    GHashTableIter iter;
    gpointer name, draft, volume;

    volume_table_iter_init(&iter, pool->volumes);
    while (g_hash_table_iter_next(&iter, NULL, &volume))
        g_ptr_array_add(all, cst_volume_ref(volume));
    g_hash_table_iter_init(&iter, pool->drafts);
    while (g_hash_table_iter_next(&iter, &name, &draft))
        if (!volume_table_get(pool->volumes, name))
            g_ptr_array_add(all, cst_volume_ref(((const VolumeDraft *)draft)->volume));
    return all;
}

GPtrArray *pool_table_sorted(CstPool *pool)
{
    GPtrArray *sorted;
    guint64 generation;

    g_mutex_lock(&pool->lock);
    if (pool->sorted) {
        sorted = g_ptr_array_ref(pool->sorted);
        g_mutex_unlock(&pool->lock);
        return sorted;
    }
    sorted = pool_table_collect(pool);
    generation = pool->generation;
    g_mutex_unlock(&pool->lock);
    /* Sort without the lock, because sorting ten thousand names takes milliseconds. */
    g_ptr_array_sort(sorted, pool_table_compare_names);
    CST_TEST_POINT("pool_table.sort.unlocked");
    g_mutex_lock(&pool->lock);
    /* Keep the list only if the table has not changed during the sort. */
    if (!pool->sorted && pool->generation == generation)
        pool->sorted = g_ptr_array_ref(sorted);
    g_mutex_unlock(&pool->lock);
    return sorted;
}

/* --- references between images ---------------------------------------------------------------- */

void pool_table_begin_move(CstPool *pool, CstVolume *volume)
{
    g_mutex_lock(&pool->lock);
    volume_table_set(pool->moving, pool->def->target_path, cst_volume_ref(volume));
    g_mutex_unlock(&pool->lock);
}

void pool_table_end_move(CstPool *pool, const char *name)
{
    g_mutex_lock(&pool->lock);
    volume_table_remove(pool->moving, name);
    g_mutex_unlock(&pool->lock);
}

gboolean pool_table_is_moving(CstPool *pool, const char *name)
{
    gboolean moving;

    g_mutex_lock(&pool->lock);
    moving = volume_table_get(pool->moving, name) != NULL;
    g_mutex_unlock(&pool->lock);
    return moving;
}

gboolean pool_table_has_overlay(CstPool *pool, const char *path)
{
    gboolean found;

    g_mutex_lock(&pool->lock);
    found = volume_table_has_overlay(pool->volumes, path) ||
            volume_table_has_overlay(pool->moving, path);
    g_mutex_unlock(&pool->lock);
    return found;
}

gboolean pool_table_has_overlays(CstPool *pool)
{
    gboolean any;

    g_mutex_lock(&pool->lock);
    any = volume_table_has_overlays(pool->volumes) || volume_table_has_overlays(pool->moving);
    g_mutex_unlock(&pool->lock);
    return any;
}

static gboolean volumes_have_name(const GPtrArray *volumes, const char *name)
{
    for (guint i = 0; i < volumes->len; i++)
        if (strcmp(((const CstVolume *)g_ptr_array_index(volumes, i))->name, name) == 0)
            return TRUE;
    return FALSE;
}

void pool_table_based_on(CstPool *pool, const char *path, GPtrArray *volumes)
{
    g_autoptr(GPtrArray) moving = g_ptr_array_new();

    g_mutex_lock(&pool->lock);
    volume_table_overlays(pool->volumes, path, volumes);
    volume_table_overlays(pool->moving, path, moving);
    g_mutex_unlock(&pool->lock);
    for (guint i = 0; i < moving->len; i++) {
        CstVolume *volume = g_ptr_array_index(moving, i);

        if (volumes_have_name(volumes, volume->name))
            cst_volume_unref(volume);
        else
            g_ptr_array_add(volumes, volume);
    }
}
