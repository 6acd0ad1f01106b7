/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service_private.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <store/pool_files.h>

/* --- bringing memory in line with the files --------------------------------------------------- */

static CstPool *find_by_name(CstService *service, const char *name)
{
    CstPool *pool;

    g_mutex_lock(&service->tables);
    pool = g_hash_table_lookup(service->pools_by_name, name);
    if (pool)
        cst_pool_ref(pool);
    g_mutex_unlock(&service->tables);
    return pool;
}

/* The pool of that name and uuid; one of the same name with another uuid makes room. */
static CstPool *find_or_add(CstService *service, const CstPoolDef *def)
{
    CstPool *pool = find_by_name(service, def->name);

    if (pool && !cst_uuid_equal(&pool->uuid, &def->uuid)) {
        service_remove_pool(service, pool);
        g_clear_pointer(&pool, cst_pool_unref);
    }
    if (!pool) {
        pool = pool_new(service, cst_pool_def_copy(def));
        service_add_pool(service, pool);
    }
    return pool;
}

static gboolean same_definition(const CstPoolDef *a, const CstPoolDef *b)
{
    g_autofree char *left = cst_pool_def_format(a, NULL);
    g_autofree char *right = cst_pool_def_format(b, NULL);

    return g_strcmp0(left, right) == 0;
}

static void take_definition(CstPool *pool, CstPoolFile *file)
{
    g_mutex_lock(&pool->lock);
    if (pool->active) {
        cst_pool_def_free(pool->new_def);
        pool->new_def = NULL;
        if (!same_definition(pool->def, file->def))
            pool->new_def = g_steal_pointer(&file->def);
    } else {
        cst_pool_def_free(pool->def);
        pool->def = g_steal_pointer(&file->def);
    }
    pool->persistent = TRUE;
    pool->autostart = file->autostart;
    g_mutex_unlock(&pool->lock);
}

static void take_state(CstPool *pool, CstPoolFile *file)
{
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&pool->lock);
    if (pool->active) {
        g_mutex_unlock(&pool->lock);
        return;
    }
    /* The state holds the definition in force; one that differs in the file is for later. */
    cst_pool_def_free(pool->new_def);
    pool->new_def = NULL;
    if (pool->persistent && !same_definition(pool->def, file->def))
        pool->new_def = g_steal_pointer(&pool->def);
    cst_pool_def_free(pool->def);
    pool->def = g_steal_pointer(&file->def);
    g_mutex_unlock(&pool->lock);
    if (!pool_adopt(pool, &error))
        cst_log(CST_LOG_WARNING, "pool '%s' is no longer active: %s", pool->name, error->message);
}

/* Elements: names that still have a file of one kind or the other. */
static void forget_others(CstService *service, GHashTable *seen)
{
    g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);
    GHashTableIter iter;
    gpointer pool;

    g_mutex_lock(&service->tables);
    g_hash_table_iter_init(&iter, service->pools_by_name);
    while (g_hash_table_iter_next(&iter, NULL, &pool))
        if (!g_hash_table_contains(seen, ((CstPool *)pool)->name))
            g_ptr_array_add(gone, cst_pool_ref(pool));
    g_mutex_unlock(&service->tables);
    for (guint i = 0; i < gone->len; i++)
        service_remove_pool(service, g_ptr_array_index(gone, i));
}

/* Pools that another process stopped or undefined since the last look (embedded mode). */
static void settle_vanished(CstPool *pool, gboolean has_definition, gboolean has_state)
{
    g_mutex_lock(&pool->lock);
    if (!has_definition)
        pool->persistent = pool->autostart = FALSE;
    if (!has_state && pool->active) {
        pool->active = FALSE;
        g_clear_pointer(&pool->state, cst_pool_state_unref);
    }
    g_mutex_unlock(&pool->lock);
}

void registry_load(CstService *service)
{
    g_autoptr(GPtrArray) files = cst_pool_files_load(service->paths);
    g_autoptr(GPtrArray) states = cst_pool_states_load(service->paths);
    g_autoptr(GHashTable) defined = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) active = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) pools = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);

    for (guint i = 0; i < files->len; i++) {
        CstPoolFile *file = g_ptr_array_index(files, i);
        CstPool *pool = find_or_add(service, file->def);

        g_hash_table_add(defined, g_strdup(pool->name));
        take_definition(pool, file);
        g_ptr_array_add(pools, pool);
    }
    for (guint i = 0; i < states->len; i++) {
        CstPoolFile *file = g_ptr_array_index(states, i);
        CstPool *pool = find_or_add(service, file->def);

        g_hash_table_add(active, g_strdup(pool->name));
        take_state(pool, file);
        g_ptr_array_add(pools, pool);
    }
    for (guint i = 0; i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);

        settle_vanished(pool, g_hash_table_contains(defined, pool->name),
                        g_hash_table_contains(active, pool->name));
        g_hash_table_add(active, g_strdup(pool->name));
    }
    forget_others(service, active);
    secrets_load(service);
}

/* --- finding ---------------------------------------------------------------------------------- */

CstPool *cst_service_pool_by_name(CstService *service, const char *name, GError **error)
{
    CstPool *pool;

    if (!definitions_sync(service, error))
        return NULL;
    pool = find_by_name(service, name);
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

/* One group of filter bits: passes when none of its bits is asked for, or one that applies. */
static gboolean group_passes(unsigned filter, unsigned yes_bit, unsigned no_bit, gboolean value)
{
    if (!(filter & (yes_bit | no_bit)))
        return TRUE;
    return (value && (filter & yes_bit)) || (!value && (filter & no_bit));
}

#define ALL_TYPE_BITS (CST_LIST_POOLS_ALL_FLAGS & ~(CST_LIST_POOLS_DIR - 1u))

static gboolean pool_passes(CstPool *pool, unsigned filter)
{
    gboolean passes;

    g_mutex_lock(&pool->lock);
    passes = group_passes(filter, CST_LIST_POOLS_ACTIVE, CST_LIST_POOLS_INACTIVE, pool->active) &&
             group_passes(filter, CST_LIST_POOLS_PERSISTENT, CST_LIST_POOLS_TRANSIENT,
                          pool->persistent) &&
             group_passes(filter, CST_LIST_POOLS_AUTOSTART, CST_LIST_POOLS_NO_AUTOSTART,
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
