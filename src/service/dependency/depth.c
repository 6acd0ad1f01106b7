/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The depth of backing chains, and its limits.
 *
 * A chain is followed by the references in the tables of the pools. An operation that adds a layer
 * checks the limit of its pool before its first change. A rebase of a volume in the middle of a
 * chain makes each volume above it deeper, so these are checked as well. The checks hold no lock
 * until the end of the operation. Two operations on different layers of one chain at the same time
 * may therefore exceed a limit.
 */
#include "depth.h"

#include <string.h>

#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <service/chains.h>

#include "core/pool.h"
#include "core/scan.h"
#include "core/service.h"
#include "core/table.h"
#include "core/trust.h"
#include "dependents.h"

/* --- layers ----------------------------------------------------------------------------------- */

/*
 * Returns the declared backing file of the volume at @path. NULL: the volume has no backing file,
 * or
 * @path is in no active pool. *ret_shown: POOL/VOLUME, or a copy of @path. The caller frees both.
 */
static char *layer_below(CstService *service, const char *path, char **ret_shown)
{
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(CstVolume) volume = NULL;
    g_autofree char *name = NULL;

    if (!cst_service_volume_by_path(service, path, &pool, &name, NULL)) {
        *ret_shown = g_strdup(path);
        return NULL;
    }
    *ret_shown = g_strconcat(cst_pool_name(pool), "/", name, NULL);
    volume = pool_table_known(pool, name);
    return volume && trust_has_backing(volume) ? g_strdup(volume->extra->backing_path) : NULL;
}

/* Appends the layers from @path down to @paths and, unless it is NULL, to @shown. */
static gboolean chain_walk(CstService *service, const char *path, GPtrArray *paths,
                           GPtrArray *shown)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *next = g_strdup(path);

    while (next) {
        char *name = NULL;

        if (paths->len >= CST_CHAINS_MAX || g_hash_table_contains(seen, next))
            return FALSE;
        g_ptr_array_add(paths, next);
        g_hash_table_add(seen, next);
        next = layer_below(service, next, &name);
        if (shown)
            g_ptr_array_add(shown, name);
        else
            g_free(name);
    }
    return TRUE;
}

GPtrArray *chain_paths(CstService *service, const char *path, gboolean *ret_is_endless)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

    *ret_is_endless = !chain_walk(service, path, paths, NULL);
    return paths;
}

/* Returns the number of images from the file at @path down. */
static uint32_t chain_depth(CstService *service, const char *path)
{
    gboolean is_endless;
    g_autoptr(GPtrArray) paths = chain_paths(service, path, &is_endless);

    return paths->len;
}

/* Returns the depth of a volume by its record; 1: it has no declared backing file. */
static uint32_t volume_depth(CstService *service, const CstVolume *volume)
{
    return 1 + (trust_has_backing(volume) ? chain_depth(service, volume->extra->backing_path) : 0);
}

/* --- limits ----------------------------------------------------------------------------------- */

CstChainLimits pool_chain_limits(CstPool *pool)
{
    CstChainLimits limits;

    g_mutex_lock(&pool->lock);
    limits = (pool->new_def ? pool->new_def : pool->def)->chains;
    g_mutex_unlock(&pool->lock);
    return limits;
}

static gboolean chain_check_depth(CstPool *pool, const char *name, uint32_t depth, GError **error)
{
    const CstChainLimits limits = pool_chain_limits(pool);

    return !limits.refuse || depth <= limits.refuse ||
           cst_fail(error, CST_ERROR_LIMIT,
                    _("the backing chain of volume '%s' would have %u images, and the limit of "
                      "pool '%s' is %u; merge layers of the volume below (vol-consolidate), copy "
                      "its whole content (vol-flatten), or raise the limit (pool-chains %s "
                      "--refuse N)"),
                    name, depth, cst_pool_name(pool), limits.refuse, cst_pool_name(pool));
}

gboolean chain_check_new(CstPool *pool, const char *name, const char *backing, GError **error)
{
    return !pool_chain_limits(pool).refuse ||
           chain_check_depth(pool, name, 1 + chain_depth(pool->service, backing), error);
}

/* Whether an active pool has a setting. */
static gboolean has_limits(CstService *service)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(service, CST_LIST_POOLS_ACTIVE, NULL);

    for (guint i = 0; pools && i < pools->len; i++) {
        const CstChainLimits limits = pool_chain_limits(g_ptr_array_index(pools, i));

        if (limits.warn || limits.refuse)
            return TRUE;
    }
    return FALSE;
}

/* A volume, and the number of layers between it and the layer that changes. */
typedef struct {
    CstPool *pool; /* a reference */
    char *name;
    uint32_t height;
} VolumeAbove;

static void volume_above_free(gpointer data)
{
    VolumeAbove *above = data;

    cst_pool_unref(above->pool);
    g_free(above->name);
    g_free(above);
}

/*
 * Appends the volume at @path and the volumes that are based on it to @found. @seen: a set of the
 * paths that were entered, because references may form a loop.
 */
static gboolean volumes_above(CstPool *pool, const char *name, const char *path, uint32_t height,
                              GHashTable *seen, GPtrArray *found, GError **error)
{
    g_autoptr(GPtrArray) overlays = NULL;
    VolumeAbove *above;

    if (height >= CST_CHAINS_MAX || !g_hash_table_add(seen, g_strdup(path)))
        return TRUE;
    above = g_new0(VolumeAbove, 1);
    *above = (VolumeAbove){cst_pool_ref(pool), g_strdup(name), height};
    g_ptr_array_add(found, above);
    overlays = volume_overlays(pool, path, error);
    for (guint i = 0; overlays && i < overlays->len; i++) {
        const VolumeOverlay *overlay = g_ptr_array_index(overlays, i);
        g_autoptr(CstPoolState) state = pool_state_get(overlay->pool, NULL);
        g_autofree char *next =
            state ? cst_pool_state_vol_path(state, overlay->volume->name) : NULL;

        if (next && !volumes_above(overlay->pool, overlay->volume->name, next, height + 1, seen,
                                   found, error))
            return FALSE;
    }
    return overlays != NULL;
}

/* Returns the volume and the volumes that are based on it, as VolumeAbove *. */
static GPtrArray *volumes_from(CstPool *pool, const char *name, const char *path, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(volume_above_free);

    return volumes_above(pool, name, path, 0, seen, found, error) ? g_steal_pointer(&found) : NULL;
}

gboolean chain_check_change(CstPool *pool, const char *name, const char *path, const char *backing,
                            GError **error)
{
    g_autoptr(GPtrArray) volumes = NULL;
    uint32_t depth;

    if (!has_limits(pool->service))
        return TRUE;
    depth = 1 + chain_depth(pool->service, backing);
    if (depth <= chain_depth(pool->service, path))
        return TRUE;
    volumes = volumes_from(pool, name, path, error);
    for (guint i = 0; volumes && i < volumes->len; i++) {
        const VolumeAbove *above = g_ptr_array_index(volumes, i);

        if (!chain_check_depth(above->pool, above->name, depth + above->height, error))
            return FALSE;
    }
    return volumes != NULL;
}

/* --- events ----------------------------------------------------------------------------------- */

/* Returns the depth of the volume's chain; 0: the table does not have the volume. */
static uint32_t known_depth(CstPool *pool, const char *name)
{
    g_autoptr(CstVolume) volume = pool_table_known(pool, name);

    return volume ? volume_depth(pool->service, volume) : 0;
}

uint32_t chain_depth_now(CstPool *pool, const char *name)
{
    return has_limits(pool->service) ? known_depth(pool, name) : 0;
}

uint32_t chain_depth_warned(CstPool *pool, const char *name)
{
    return pool_chain_limits(pool).warn ? known_depth(pool, name) : 0;
}

static void chain_record_end(CstPool *pool, const char *name)
{
    g_autofree char *object = g_strdup_printf("%s/%s", cst_pool_name(pool), name);
    g_autofree char *message =
        g_strdup_printf(_("the backing chain of volume '%s' is not deep any more"), object);

    CST_TEST_POINT("chain.record.end");
    event_log_add_end(pool->service->events, CST_EVENT_CHAIN_DEEP, "volume", object, message);
}

void chain_record(CstPool *pool, const char *name, uint32_t before)
{
    const uint32_t warn = pool_chain_limits(pool).warn;
    const uint32_t depth = warn && !cst_dry_run() ? known_depth(pool, name) : 0;
    g_autofree char *object = NULL, *message = NULL;

    if (depth == 0)
        return;
    if (depth < warn && before >= warn)
        chain_record_end(pool, name);
    if (depth < warn || depth <= before)
        return;
    object = g_strdup_printf("%s/%s", cst_pool_name(pool), name);
    message = g_strdup_printf(
        _("the backing chain of volume '%s' has %u images, and the pool warns from %u on"), object,
        depth, warn);
    event_log_add(pool->service->events, CST_EVENT_CHAIN_DEEP, "volume", object, message);
}

void chain_record_gone(CstPool *pool, const char *name, uint32_t before)
{
    const uint32_t warn = pool_chain_limits(pool).warn;

    if (warn && before >= warn && !cst_dry_run())
        chain_record_end(pool, name);
}

/* Adds the ends of the events of all volumes. */
static void chain_record_pool_end(CstPool *pool)
{
    g_autofree char *message = g_strdup_printf(
        _("pool '%s' does not warn of deep backing chains any more"), cst_pool_name(pool));

    event_log_add_pool_end(pool->service->events, CST_EVENT_CHAIN_DEEP, cst_pool_name(pool),
                           message);
}

void chain_record_pool_gone(CstPool *pool)
{
    if (pool_chain_limits(pool).warn && !cst_dry_run())
        chain_record_pool_end(pool);
}

void chain_record_stop(CstPool *pool)
{
    gboolean persistent;

    g_mutex_lock(&pool->lock);
    persistent = pool->persistent;
    g_mutex_unlock(&pool->lock);
    if (!persistent)
        chain_record_pool_gone(pool);
}

void chain_record_change(CstPool *pool, const char *name, uint32_t before)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    g_autofree char *path = state ? cst_pool_state_vol_path(state, name) : NULL;
    g_autoptr(GPtrArray) volumes = path && !cst_dry_run() && has_limits(pool->service)
                                       ? volumes_from(pool, name, path, NULL)
                                       : NULL;

    for (guint i = 0; volumes && i < volumes->len; i++) {
        const VolumeAbove *above = g_ptr_array_index(volumes, i);

        chain_record(above->pool, above->name, before + above->height);
    }
}

/* --- lists ------------------------------------------------------------------------------------ */

/* Brings the table of a pool up to date. */
static gboolean chains_scan(CstPool *pool, CstPoolState *state, GError **error)
{
    return pool->service->mode == CST_SERVICE_EMBEDDED ? pool_rescan_aged(pool, state, error)
                                                       : pool_scan_if_new(pool, state, error);
}

void chain_record_setting(CstPool *pool, uint32_t before)
{
    const uint32_t warn = pool_chain_limits(pool).warn;
    g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);
    g_autoptr(GPtrArray) volumes = NULL;

    if (cst_dry_run() || !before || (warn && warn <= before))
        return;
    if (!warn || !state) {
        chain_record_pool_end(pool);
        return;
    }
    if (!chains_scan(pool, state, NULL))
        return;
    volumes = pool_table_sorted(pool);
    for (guint i = 0; i < volumes->len; i++) {
        const CstVolume *volume = g_ptr_array_index(volumes, i);
        uint32_t depth = trust_has_backing(volume) ? volume_depth(pool->service, volume) : 0;

        if (depth >= before && depth < warn)
            chain_record_end(pool, volume->name);
    }
}

/* Returns the active pools with images. Skips pools that cannot be read. */
static GPtrArray *image_pools(CstService *service, GError **error)
{
    g_autoptr(GPtrArray) pools = cst_service_pools(service, CST_LIST_POOLS_ACTIVE, error);
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);

    for (guint i = 0; pools && i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);
        g_autoptr(CstPoolState) state = pool_state_get(pool, NULL);

        if (state && cst_pool_state_holds_images(state) && chains_scan(pool, state, NULL))
            g_ptr_array_add(found, cst_pool_ref(pool));
    }
    if (!pools)
        g_clear_pointer(&found, g_ptr_array_unref);
    return found;
}

/* Whether no image of @pools is based on the file at @path. */
static gboolean is_on_top(const GPtrArray *pools, const char *path)
{
    for (guint i = 0; i < pools->len; i++)
        if (pool_table_has_overlay(g_ptr_array_index(pools, i), path))
            return FALSE;
    return TRUE;
}

/* Makes a chain without its layers, because only some of the chains are returned. */
static CstPoolChain *chain_new(CstPool *pool, const char *name, const char *path,
                               const CstChainLimits *limits)
{
    CstPoolChain *chain = g_new0(CstPoolChain, 1);

    chain->volume = g_strdup(name);
    chain->depth = chain_depth(pool->service, path);
    chain->state = cst_chain_limits_judge(limits, chain->depth);
    return chain;
}

/* The references may have changed since chain_new(). */
static void chain_add_layers(CstPoolChain *chain, CstPool *pool, CstPoolState *state)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    GPtrArray *shown = g_ptr_array_new();
    g_autofree char *path = cst_pool_state_vol_path(state, chain->volume);

    chain->is_endless = path && !chain_walk(pool->service, path, paths, shown);
    chain->depth = shown->len;
    g_ptr_array_add(shown, NULL);
    chain->layers = (GStrv)g_ptr_array_free(shown, FALSE);
}

static int deepest_first(gconstpointer a, gconstpointer b)
{
    const CstPoolChain *left = *(const CstPoolChain *const *)a;
    const CstPoolChain *right = *(const CstPoolChain *const *)b;

    if (left->depth != right->depth)
        return left->depth > right->depth ? -1 : 1;
    return strcmp(left->volume, right->volume);
}

/* Removes the last chains if all layers exceed the maximum of an answer. Returns their number. */
static guint chains_truncate(GPtrArray *chains)
{
    guint layers = 0, kept = 0, all = chains->len;

    while (kept < all) {
        layers += ((const CstPoolChain *)g_ptr_array_index(chains, kept))->depth;
        if (layers > CST_POOL_CHAINS_LAYERS)
            break;
        kept++;
    }
    g_ptr_array_set_size(chains, (gint)kept);
    return all - kept;
}

GPtrArray *cst_pool_chains(CstPool *pool, CstChainLimits *ret_limits, guint *ret_left,
                           GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(GPtrArray) pools = NULL;
    g_autoptr(GPtrArray) volumes = NULL;
    GPtrArray *chains;

    if (!state || !chains_scan(pool, state, error))
        return NULL;
    pools = image_pools(pool->service, error);
    if (!pools)
        return NULL;
    *ret_limits = pool_chain_limits(pool);
    volumes = pool_table_sorted(pool);
    chains = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_chain_free);
    for (guint i = 0; i < volumes->len; i++) {
        const CstVolume *volume = g_ptr_array_index(volumes, i);
        g_autofree char *path =
            trust_has_backing(volume) ? cst_pool_state_vol_path(state, volume->name) : NULL;

        if (path && is_on_top(pools, path))
            g_ptr_array_add(chains, chain_new(pool, volume->name, path, ret_limits));
    }
    g_ptr_array_sort(chains, deepest_first);
    *ret_left = chains_truncate(chains);
    for (guint i = 0; i < chains->len; i++)
        chain_add_layers(g_ptr_array_index(chains, i), pool, state);
    return chains;
}
