/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pools of a service, by name and by UUID. The table by name owns a reference, the other one
 * borrows it. The tables' lock guards both. In an embedded process a lookup first updates the
 * tables from the files (definitions.c).
 *
 * A removed pool stays valid for holders of a reference. It is marked as removed, so that threads
 * that waited for it fail with NO_POOL.
 */
#include "registry.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "definitions.h"
#include "pool.h"
#include "service.h"

void registry_add(CstPool *pool)
{
    CstService *service = pool->service;

    g_mutex_lock(&service->tables);
    g_hash_table_replace(service->pools_by_name, pool->name, cst_pool_ref(pool));
    g_hash_table_replace(service->pools_by_uuid, &pool->uuid, pool);
    g_mutex_unlock(&service->tables);
}

void registry_remove(CstPool *pool)
{
    CstService *service = pool->service;

    g_mutex_lock(&pool->lock);
    pool->removed = TRUE;
    g_mutex_unlock(&pool->lock);
    g_mutex_lock(&service->tables);
    /*
     * Remove it from the borrowing table first, because removal from the other table drops the
     * reference. Another pool may have the name or the UUID by now.
     */
    if (g_hash_table_lookup(service->pools_by_uuid, &pool->uuid) == pool)
        g_hash_table_remove(service->pools_by_uuid, &pool->uuid);
    if (g_hash_table_lookup(service->pools_by_name, pool->name) == pool)
        g_hash_table_remove(service->pools_by_name, pool->name);
    g_mutex_unlock(&service->tables);
}

/* As in libvirt, a pool without a definition ceases to exist when it stops. */
void registry_forget_transient(CstPool *pool)
{
    gboolean transient;

    g_mutex_lock(&pool->lock);
    transient = !pool->persistent && !pool->active;
    g_mutex_unlock(&pool->lock);
    if (transient)
        registry_remove(pool);
}

/* --- finding ---------------------------------------------------------------------------------- */

CstPool *registry_find(CstService *service, const char *name)
{
    CstPool *pool;

    g_mutex_lock(&service->tables);
    pool = g_hash_table_lookup(service->pools_by_name, name);
    if (pool)
        cst_pool_ref(pool);
    g_mutex_unlock(&service->tables);
    return pool;
}

CstPool *cst_service_pool_by_name(CstService *service, const char *name, GError **error)
{
    CstPool *pool;

    if (!definitions_sync(service, error))
        return NULL;
    pool = registry_find(service, name);
    if (!pool)
        cst_fail(error, CST_ERROR_NO_POOL, _("no storage pool with matching name '%s'"), name);
    return pool;
}

CstPool *cst_service_pool_by_uuid(CstService *service, const CstUuid *uuid, GError **error)
{
    char text[CST_UUID_TEXT_LEN];
    CstPool *pool;

    if (!definitions_sync(service, error))
        return NULL;
    g_mutex_lock(&service->tables);
    pool = g_hash_table_lookup(service->pools_by_uuid, uuid);
    if (pool)
        cst_pool_ref(pool);
    g_mutex_unlock(&service->tables);
    if (!pool)
        cst_fail(error, CST_ERROR_NO_POOL, _("no storage pool with matching uuid '%s'"),
                 cst_uuid_format(uuid, text));
    return pool;
}

static int compare_pools(gconstpointer a, gconstpointer b)
{
    const CstPool *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

gboolean registry_filter_passes(unsigned filter, unsigned yes_bit, unsigned no_bit, gboolean value)
{
    if (!(filter & (yes_bit | no_bit)))
        return TRUE;
    return (value && (filter & yes_bit)) || (!value && (filter & no_bit));
}

/* libvirt's flags from CST_LIST_POOLS_DIR upwards are one bit for each type of pool. */
#define ALL_TYPE_BITS (CST_LIST_POOLS_ALL_FLAGS & ~(CST_LIST_POOLS_DIR - 1u))

/* Requires the tables' lock. Lock order: the tables' lock, then the lock of a pool. */
static gboolean pool_passes(CstPool *pool, unsigned filter)
{
    gboolean passes;

    g_mutex_lock(&pool->lock);
    passes = registry_filter_passes(filter, CST_LIST_POOLS_ACTIVE, CST_LIST_POOLS_INACTIVE,
                                    pool->active) &&
             registry_filter_passes(filter, CST_LIST_POOLS_PERSISTENT, CST_LIST_POOLS_TRANSIENT,
                                    pool->persistent) &&
             registry_filter_passes(filter, CST_LIST_POOLS_AUTOSTART, CST_LIST_POOLS_NO_AUTOSTART,
                                    pool->autostart);
    if (filter & ALL_TYPE_BITS)
        passes = passes && (filter & cst_pool_type_info(pool->def->type)->list_flag);
    g_mutex_unlock(&pool->lock);
    return passes;
}

GPtrArray *cst_service_pools(CstService *service, unsigned filter, GError **error)
{
    GPtrArray *pools;
    GHashTableIter iter;
    gpointer pool;

    if (!definitions_sync(service, error))
        return NULL;
    pools = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);
    g_mutex_lock(&service->tables);
    g_hash_table_iter_init(&iter, service->pools_by_name);
    while (g_hash_table_iter_next(&iter, NULL, &pool))
        if (pool_passes(pool, filter))
            g_ptr_array_add(pools, cst_pool_ref(pool));
    g_mutex_unlock(&service->tables);
    g_ptr_array_sort(pools, compare_pools);
    return pools;
}

CstPool *cst_service_pool_by_target(CstService *service, const char *path, GError **error)
{
    g_autofree char *clean = NULL;
    g_autoptr(GPtrArray) pools = NULL;

    if (!g_path_is_absolute(path)) {
        cst_fail(error, CST_ERROR_INVALID, _("path '%s' is not absolute"), path);
        return NULL;
    }
    clean = g_canonicalize_filename(path, NULL);
    pools = cst_service_pools(service, CST_LIST_POOLS_ACTIVE, error);
    for (guint i = 0; pools && i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);
        gboolean matches;

        g_mutex_lock(&pool->lock);
        matches = g_strcmp0(pool->def->target_path, clean) == 0;
        g_mutex_unlock(&pool->lock);
        if (matches)
            return cst_pool_ref(pool);
    }
    if (pools)
        cst_fail(error, CST_ERROR_NO_POOL, _("no storage pool with matching target path '%s'"),
                 path);
    return NULL;
}
