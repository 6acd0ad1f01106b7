/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data of the pool that is available without ZFS's tools, each of which takes about as long as a
 * change:
 *
 * - the last report on all or some datasets (pool/report_cache.h), for a short time
 *   (zfs_host.fresh_us). It answers read-only callers. For a destructive change ZFS itself checks
 *   the guids, in the same step (program.c);
 * - whether the pool's own dataset was verified to be the expected one, for the same time;
 * - the sizes of the ZFS pool, which are kept for a while after our own changes (estimate_us),
 *   because ZFS accounts for a change only with the next transaction groups;
 * - the last reported guid and space of each volume, of any age. With the guid a change detects
 *   whether the volume is still the same, and the space is the estimate of what a removal frees.
 */
#include "zfs.h"

#include <string.h>

/* --- reports ---------------------------------------------------------------------------------- */

static gpointer report_ref(gpointer data)
{
    ZfsReport *report = data;

    g_atomic_int_inc(&report->refs);
    return report;
}

void zfs_report_unref(gpointer data)
{
    ZfsReport *report = data;

    if (!report || !g_atomic_int_dec_and_test(&report->refs))
        return;
    g_hash_table_unref(report->by_name);
    g_ptr_array_unref(report->datasets);
    g_free(report);
}

ZfsReport *zfs_report_new(GPtrArray *datasets, gboolean all)
{
    ZfsReport *report = g_new0(ZfsReport, 1);

    report->refs = 1;
    report->datasets = datasets;
    report->all = all;
    report->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < datasets->len; i++) {
        ZfsDataset *dataset = g_ptr_array_index(datasets, i);

        g_hash_table_insert(report->by_name, dataset->name, dataset);
    }
    return report;
}

/* --- the cache -------------------------------------------------------------------------------- */

/* The last reported properties of a volume. */
typedef struct {
    char *guid;
    uint64_t kept; /* bytes that its removal would free */
} Shown;

static void shown_free(gpointer data)
{
    Shown *shown = data;

    g_free(shown->guid);
    g_free(shown);
}

static GHashTable *shown_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, shown_free);
}

void zfs_cache_init(ZfsCache *cache)
{
    cst_report_cache_init(&cache->reports, report_ref, zfs_report_unref);
    cache->shown = shown_new();
}

void zfs_cache_clear(ZfsCache *cache)
{
    g_hash_table_unref(cache->shown);
    zfs_pool_free(cache->pool);
    cst_report_cache_clear(&cache->reports);
}

static void zfs_cache_lock(ZfsCache *cache)
{
    g_mutex_lock(&cache->reports.lock);
}

static void zfs_cache_unlock(ZfsCache *cache)
{
    g_mutex_unlock(&cache->reports.lock);
}

/* The caller holds the lock. */
static void drop_pool(ZfsCache *cache)
{
    g_clear_pointer(&cache->pool, zfs_pool_free);
    cache->pool_changed_at = 0;
}

void zfs_cache_reset(ZfsCache *cache)
{
    zfs_cache_lock(cache);
    cst_report_cache_forget(&cache->reports);
    g_hash_table_remove_all(cache->shown);
    cache->proved_at = 0;
    drop_pool(cache);
    zfs_cache_unlock(cache);
}

void zfs_cache_changed(ZfsCache *cache)
{
    zfs_cache_lock(cache);
    cst_report_cache_forget(&cache->reports);
    if (cache->pool_changed_at == 0)
        cache->pool_changed_at = g_get_monotonic_time();
    zfs_cache_unlock(cache);
}

/*
 * Records the properties of the volumes in a report. If a change was made since the report began
 * (@known FALSE), they are unknown. The caller holds the lock.
 */
static void zfs_cache_add_report(ZfsCache *cache, const ZfsReport *report, gboolean known)
{
    if (report->all)
        g_hash_table_remove_all(cache->shown);
    for (guint i = 0; i < report->datasets->len; i++) {
        const ZfsDataset *dataset = g_ptr_array_index(report->datasets, i);
        Shown *shown;

        if (!known) {
            g_hash_table_remove(cache->shown, dataset->name);
            continue;
        }
        shown = g_new0(Shown, 1);
        shown->guid = g_strdup(dataset->guid);
        shown->kept = MAX(dataset->reserved, dataset->referenced);
        g_hash_table_replace(cache->shown, g_strdup(dataset->name), shown);
    }
}

/*
 * A report on some datasets does not replace a fresh report on all datasets. It was read for a
 * dataset that the other report lacks.
 */
void zfs_cache_end(ZfsCache *cache, ZfsReport *report, guint changes)
{
    ZfsReport *fresh;

    zfs_cache_lock(cache);
    fresh = cst_report_cache_fresh(&cache->reports, zfs_host.fresh_us);
    if (report) {
        cache->proved_at = g_get_monotonic_time();
        zfs_cache_add_report(cache, report, changes == cache->reports.changes);
    }
    cst_report_cache_end(&cache->reports,
                         report && fresh && fresh->all && !report->all ? NULL : report, changes,
                         TRUE);
    zfs_cache_unlock(cache);
    zfs_report_unref(fresh);
}

gboolean zfs_cache_has_some(ZfsCache *cache)
{
    ZfsReport *fresh;
    gboolean some;

    zfs_cache_lock(cache);
    fresh = cst_report_cache_fresh(&cache->reports, zfs_host.fresh_us);
    zfs_cache_unlock(cache);
    some = fresh && !fresh->all;
    zfs_report_unref(fresh);
    return some;
}

/* --- identity --------------------------------------------------------------------------------- */

void zfs_cache_prove(ZfsCache *cache)
{
    zfs_cache_lock(cache);
    cache->proved_at = g_get_monotonic_time();
    zfs_cache_unlock(cache);
}

gboolean zfs_cache_is_proved(ZfsCache *cache)
{
    gboolean proved;

    zfs_cache_lock(cache);
    proved = cache->proved_at && g_get_monotonic_time() - cache->proved_at < zfs_host.fresh_us;
    zfs_cache_unlock(cache);
    return proved;
}

/* --- the ZFS pool ----------------------------------------------------------------------------- */

void zfs_cache_keep_pool(ZfsCache *cache, const ZfsPool *pool)
{
    zfs_cache_lock(cache);
    drop_pool(cache);
    cache->pool = zfs_pool_copy(pool);
    zfs_cache_unlock(cache);
}

void zfs_cache_drop_pool(ZfsCache *cache)
{
    zfs_cache_lock(cache);
    drop_pool(cache);
    zfs_cache_unlock(cache);
}

ZfsPool *zfs_cache_pool(ZfsCache *cache, gint64 *ret_until)
{
    ZfsPool *pool = NULL;
    gint64 until;

    zfs_cache_lock(cache);
    until = cache->pool_changed_at + zfs_host.estimate_us;
    if (cache->pool && cache->pool_changed_at && g_get_monotonic_time() < until) {
        pool = zfs_pool_copy(cache->pool);
        *ret_until = until;
    }
    zfs_cache_unlock(cache);
    return pool;
}

/* --- reported volumes ------------------------------------------------------------------------- */

char *zfs_cache_shown(ZfsCache *cache, const char *dataset, uint64_t *ret_kept)
{
    const Shown *shown;
    char *guid = NULL;

    zfs_cache_lock(cache);
    shown = g_hash_table_lookup(cache->shown, dataset);
    if (shown) {
        guid = g_strdup(shown->guid);
        *ret_kept = shown->kept;
    }
    zfs_cache_unlock(cache);
    return guid;
}

void zfs_cache_gone(ZfsCache *cache, const char *dataset)
{
    zfs_cache_lock(cache);
    g_hash_table_remove(cache->shown, dataset);
    zfs_cache_unlock(cache);
}
