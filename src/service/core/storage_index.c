/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The index from storage to pools.
 *
 * A pool has a key for the text of its definition, or for each of its devices. Two pools that
 * conflict by their definitions have a common key. Pools of types that conflict by directory or
 * device have further keys: the identity of each path, or a mark that these were not read.
 *
 * A bucket maps the address of a pool to its name. An address is only compared. A pool that has
 * replaced a pool of the same name therefore keeps its entry when the old pool is freed.
 */
#include "storage_index.h"

#include <inttypes.h>

#include <base/test_point.h>
#include <base/text.h>
#include <model/pool_def.h>

#include "service.h"

struct StorageIndex {
    GMutex lock;
    GHashTable *buckets; /* char * (a key) to GHashTable of CstPool * to its name (borrowed) */
};

StorageIndex *storage_index_new(void)
{
    StorageIndex *index = g_atomic_rc_box_new0(StorageIndex);

    g_mutex_init(&index->lock);
    index->buckets =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
    return index;
}

StorageIndex *storage_index_ref(StorageIndex *index)
{
    return g_atomic_rc_box_acquire(index);
}

static void storage_index_clear(StorageIndex *index)
{
    g_hash_table_unref(index->buckets);
    g_mutex_clear(&index->lock);
}

void storage_index_unref(StorageIndex *index)
{
    g_atomic_rc_box_release_full(index, (GDestroyNotify)storage_index_clear);
}

/* --- keys ------------------------------------------------------------------------------------- */

static const char *device_path(const CstPoolDef *def, guint i)
{
    return ((const CstPoolDevice *)g_ptr_array_index(def->source.devices, i))->path;
}

static const char *sole_host(const CstPoolDef *def)
{
    const GPtrArray *hosts = def->source.hosts;

    return hosts->len == 1 ? ((const CstHost *)g_ptr_array_index(hosts, 0))->name : NULL;
}

/* Returns the text that two definitions with the same source have in common; NULL: no text. */
static char *definition_text(const CstPoolDef *def)
{
    switch (cst_pool_def_conflict(def)) {
    case CST_CONFLICT_TARGET:
        return def->target_path ? g_canonicalize_filename(def->target_path, "/") : NULL;
    case CST_CONFLICT_HOST: return g_strdup(sole_host(def));
    case CST_CONFLICT_HOST_DIR: return g_strdup(def->source.dir);
    case CST_CONFLICT_NAME: return g_strdup(def->source.name);
    case CST_CONFLICT_INITIATOR: return g_strdup(def->source.initiator_iqn);
    default: return NULL;
    }
}

/*
 * Adds the keys of a definition. Two definitions with the same source have a common key. A device
 * conflicts between types, too.
 */
static void add_definition_keys(const CstPoolDef *def, GPtrArray *keys)
{
    CstConflict conflict = cst_pool_def_conflict(def);
    g_autofree char *text = NULL;

    if (conflict == CST_CONFLICT_NONE)
        return;
    if (conflict == CST_CONFLICT_DEVICE) {
        for (guint i = 0; i < def->source.devices->len; i++)
            g_ptr_array_add(keys, g_strconcat("device ", device_path(def, i), NULL));
        return;
    }
    text = definition_text(def);
    g_ptr_array_add(
        keys, g_strdup_printf("def %d %d %s", (int)conflict, (int)def->type, text ? text : ""));
}

static void add_identity_keys(const GArray *ids, GPtrArray *keys)
{
    for (guint i = 0; i < ids->len; i++) {
        const CstStorageId *id = &g_array_index(ids, CstStorageId, i);

        if (id->device)
            g_ptr_array_add(keys, g_strdup_printf("id %" PRIu64 " %" PRIu64, (uint64_t)id->device,
                                                  (uint64_t)id->inode));
    }
}

/* Devices of pools of all types have one key. */
static char *unread_key(const CstPoolDef *def, gboolean active)
{
    gboolean device = cst_pool_def_conflict(def) == CST_CONFLICT_DEVICE;

    return g_strdup_printf("unread %d %d", device ? -1 : (int)def->type, active);
}

char *storage_index_paths(const CstPoolDef *def)
{
    GString *paths;

    if (cst_pool_def_conflict(def) == CST_CONFLICT_TARGET)
        return g_strdup(def->target_path);
    if (cst_pool_def_conflict(def) != CST_CONFLICT_DEVICE)
        return NULL;
    paths = g_string_new(NULL);
    for (guint i = 0; i < def->source.devices->len; i++)
        g_string_append_printf(paths, "%s\n", device_path(def, i));
    return g_string_free(paths, FALSE);
}

/* Returns the keys of the pool. The caller frees them. */
static GPtrArray *keys_of_pool(const CstPool *pool)
{
    GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *paths = storage_index_paths(pool->def);

    add_definition_keys(pool->def, keys);
    if (!paths)
        return keys;
    if (pool->storage && g_strcmp0(pool->storage_paths, paths) == 0)
        add_identity_keys(pool->storage, keys);
    else
        g_ptr_array_add(keys, unread_key(pool->def, pool->active || pool->starting));
    return keys;
}

/* --- entries ---------------------------------------------------------------------------------- */

/* Requires the index's lock. */
static void bucket_remove(StorageIndex *index, CstPool *pool, const char *key)
{
    GHashTable *bucket = g_hash_table_lookup(index->buckets, key);

    if (!bucket)
        return;
    g_hash_table_remove(bucket, pool);
    if (g_hash_table_size(bucket) == 0)
        g_hash_table_remove(index->buckets, key);
}

/* Requires the index's lock. */
static void bucket_add(StorageIndex *index, CstPool *pool, const char *key)
{
    GHashTable *bucket = g_hash_table_lookup(index->buckets, key);

    if (!bucket) {
        bucket = g_hash_table_new(NULL, NULL);
        g_hash_table_insert(index->buckets, g_strdup(key), bucket);
    }
    g_hash_table_insert(bucket, pool, pool->name);
}

/* Requires the index's lock. Consumes @keys; NULL: the pool gets no entries. */
static void storage_index_replace(StorageIndex *index, CstPool *pool, GPtrArray *keys)
{
    for (guint i = 0; pool->storage_keys && i < pool->storage_keys->len; i++)
        bucket_remove(index, pool, g_ptr_array_index(pool->storage_keys, i));
    g_clear_pointer(&pool->storage_keys, g_ptr_array_unref);
    pool->storage_keys = keys;
    for (guint i = 0; keys && i < keys->len; i++)
        bucket_add(index, pool, g_ptr_array_index(keys, i));
}

void storage_index_update(CstPool *pool)
{
    StorageIndex *index = pool->storage_index;
    GPtrArray *keys = keys_of_pool(pool);

    g_mutex_lock(&index->lock);
    storage_index_replace(index, pool, keys);
    g_mutex_unlock(&index->lock);
}

void storage_index_remove(CstPool *pool)
{
    StorageIndex *index = pool->storage_index;

    g_mutex_lock(&index->lock);
    storage_index_replace(index, pool, NULL);
    g_mutex_unlock(&index->lock);
}

/* --- search ----------------------------------------------------------------------------------- */

/* Adds the names of a bucket to a set. */
static void bucket_collect(StorageIndex *index, const char *key, GHashTable *names)
{
    GHashTable *bucket;
    GHashTableIter iter;
    gpointer name;

    g_mutex_lock(&index->lock);
    bucket = g_hash_table_lookup(index->buckets, key);
    if (bucket) {
        g_hash_table_iter_init(&iter, bucket);
        while (g_hash_table_iter_next(&iter, NULL, &name))
            g_hash_table_add(names, g_strdup(name));
    }
    g_mutex_unlock(&index->lock);
}

/*
 * Returns the keys of pools that may conflict with @def, in the order in which they are searched. A
 * thread that reads the paths of a pool moves it from an unread bucket to the buckets of its
 * identities. These buckets are searched last, so the search finds the pool.
 */
static GPtrArray *keys_to_search(const CstPoolDef *def, const GArray *ids, gboolean active)
{
    GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
    gboolean known = FALSE;

    add_definition_keys(def, keys);
    for (guint i = 0; i < ids->len; i++)
        known |= g_array_index(ids, CstStorageId, i).device != 0;
    if (!known)
        return keys;
    g_ptr_array_add(keys, unread_key(def, TRUE));
    if (!active)
        g_ptr_array_add(keys, unread_key(def, FALSE));
    add_identity_keys(ids, keys);
    return keys;
}

GPtrArray *storage_index_find(StorageIndex *index, const CstPoolDef *def, const GArray *ids,
                              gboolean active)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) keys = keys_to_search(def, ids, active);
    GPtrArray *sorted = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer name;

    for (guint i = 0; i < keys->len; i++) {
        CST_TEST_POINT("storage_index.key");
        bucket_collect(index, g_ptr_array_index(keys, i), names);
    }
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_hash_table_iter_steal(&iter);
        g_ptr_array_add(sorted, name);
    }
    g_ptr_array_sort(sorted, cst_text_compare);
    return sorted;
}
