/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The index from storage to pools.
 *
 * A pool has up to two keys. The first key is a text of its definition. Two pools that conflict by
 * their definitions have the same text. Pools of types that conflict by directory have the second
 * key: the identity of the directory, or a mark that the directory has not been read.
 *
 * A bucket maps the address of a pool to its name. An address is only compared. A pool that has
 * replaced a pool of the same name therefore keeps its entry when the old pool is freed.
 */
#include "storage_index.h"

#include <inttypes.h>

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

/*
 * Returns the key of a definition. Two definitions with the same source have the same key. Devices
 * are resolved when they are compared, so all pools on devices share one key. NULL: pools of the
 * type do not conflict.
 */
static char *definition_key(const CstPoolDef *def)
{
    CstConflict conflict = cst_pool_def_conflict(def);
    int type = conflict == CST_CONFLICT_DEVICE ? 0 : (int)def->type;
    g_autofree char *path = NULL;
    const char *text = NULL;

    switch (conflict) {
    case CST_CONFLICT_NONE: return NULL;
    case CST_CONFLICT_TARGET:
        text = path = def->target_path ? g_canonicalize_filename(def->target_path, "/") : NULL;
        break;
    case CST_CONFLICT_HOST_DIR: text = def->source.dir; break;
    case CST_CONFLICT_NAME: text = def->source.name; break;
    default: break;
    }
    return g_strdup_printf("def %d %d %s", (int)conflict, type, text ? text : "");
}

static char *identity_key(const CstStorageId *id)
{
    if (!id->device)
        return NULL;
    return g_strdup_printf("id %" PRIu64 " %" PRIu64, (uint64_t)id->device, (uint64_t)id->inode);
}

static char *unread_key(const CstPoolDef *def, gboolean active)
{
    return g_strdup_printf("unread %d %d", (int)def->type, active);
}

/* Returns the key of the pool's directory. NULL: no key. */
static char *directory_key(const CstPool *pool)
{
    if (cst_pool_def_conflict(pool->def) != CST_CONFLICT_TARGET || !pool->def->target_path)
        return NULL;
    return g_strcmp0(pool->storage_path, pool->def->target_path) == 0
               ? identity_key(&pool->storage)
               : unread_key(pool->def, pool->active || pool->starting);
}

/* --- entries ---------------------------------------------------------------------------------- */

/* Requires the index's lock. */
static void bucket_remove(StorageIndex *index, CstPool *pool, char **key)
{
    GHashTable *bucket = *key ? g_hash_table_lookup(index->buckets, *key) : NULL;

    if (bucket) {
        g_hash_table_remove(bucket, pool);
        if (g_hash_table_size(bucket) == 0)
            g_hash_table_remove(index->buckets, *key);
    }
    g_clear_pointer(key, g_free);
}

/* Requires the index's lock. Consumes @new_key. */
static void bucket_replace(StorageIndex *index, CstPool *pool, char **key, char *new_key)
{
    GHashTable *bucket;

    bucket_remove(index, pool, key);
    *key = new_key;
    if (!new_key)
        return;
    bucket = g_hash_table_lookup(index->buckets, new_key);
    if (!bucket) {
        bucket = g_hash_table_new(NULL, NULL);
        g_hash_table_insert(index->buckets, g_strdup(new_key), bucket);
    }
    g_hash_table_insert(bucket, pool, pool->name);
}

void storage_index_update(CstPool *pool)
{
    StorageIndex *index = pool->storage_index;
    char *definition = definition_key(pool->def), *directory = directory_key(pool);

    g_mutex_lock(&index->lock);
    bucket_replace(index, pool, &pool->definition_key, definition);
    bucket_replace(index, pool, &pool->directory_key, directory);
    g_mutex_unlock(&index->lock);
}

void storage_index_remove(CstPool *pool)
{
    StorageIndex *index = pool->storage_index;

    g_mutex_lock(&index->lock);
    bucket_remove(index, pool, &pool->definition_key);
    bucket_remove(index, pool, &pool->directory_key);
    g_mutex_unlock(&index->lock);
}

/* --- search ----------------------------------------------------------------------------------- */

/* Adds the names of a bucket to a set. Consumes @key. */
static void bucket_collect(StorageIndex *index, char *key, GHashTable *names)
{
    GHashTable *bucket;
    GHashTableIter iter;
    gpointer name;

    if (!key)
        return;
    g_mutex_lock(&index->lock);
    bucket = g_hash_table_lookup(index->buckets, key);
    if (bucket) {
        g_hash_table_iter_init(&iter, bucket);
        while (g_hash_table_iter_next(&iter, NULL, &name))
            g_hash_table_add(names, g_strdup(name));
    }
    g_mutex_unlock(&index->lock);
    g_free(key);
}

GPtrArray *storage_index_find(StorageIndex *index, const CstPoolDef *def, const CstStorageId *id,
                              gboolean active)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GPtrArray *sorted = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer name;

    bucket_collect(index, definition_key(def), names);
    /*
     * A thread that reads the directory of a pool moves it from an unread bucket to the bucket of
     * its identity. The bucket of the identity is searched last, so the search finds the pool.
     */
    if (id->device) {
        bucket_collect(index, unread_key(def, TRUE), names);
        if (!active)
            bucket_collect(index, unread_key(def, FALSE), names);
        bucket_collect(index, identity_key(id), names);
    }
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_hash_table_iter_steal(&iter);
        g_ptr_array_add(sorted, name);
    }
    g_ptr_array_sort(sorted, cst_text_compare);
    return sorted;
}
