/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Updates the pools in memory from the files of definitions and states. The files may have been
 * written by libvirt, by an earlier run of this program or, in embedded mode, by another process.
 * Runs inside definitions_enter(), or while the process starts.
 *
 * Definitions are read first, then states. A state file contains the definition in force, and makes
 * the pool active (pool_adopt()). A daemon probes the storage of all these pools concurrently, in
 * separate threads. It waits for the answers up to one common deadline, so that unresponsive
 * storage does not delay its start. A pool without a definition file becomes transient, and a pool
 * without a state file inactive. A pool without any file is removed from the tables, but stays
 * valid for holders of a reference.
 */
#include "load.h"

#include <base/log.h>
#include <store/pool_files.h>

#include "adopt.h"
#include "core/pool.h"
#include "core/registry.h"
#include "core/service.h"
#include "core/storage_index.h"
#include "lifecycle.h"

/* Sockets must be open within a second of a daemon's start. */
#define LOAD_WAIT_US (600 * G_TIME_SPAN_MILLISECOND)

/* Returns the pool with that name and UUID. Removes a pool with the same name and another UUID. */
static CstPool *find_or_add(CstService *service, const CstPoolDef *def)
{
    CstPool *pool = registry_find(service, def->name);

    if (pool && !cst_uuid_equal(&pool->uuid, &def->uuid)) {
        registry_remove(pool);
        g_clear_pointer(&pool, cst_pool_unref);
    }
    if (!pool) {
        pool = pool_new(service, cst_pool_def_copy(def));
        registry_add(pool);
    }
    return pool;
}

/* Compares the definitions by the text of their files. */
static gboolean same_definition(const CstPoolDef *a, const CstPoolDef *b)
{
    g_autofree char *left = cst_pool_def_format(a, NULL);
    g_autofree char *right = cst_pool_def_format(b, NULL);

    return g_strcmp0(left, right) == 0;
}

/*
 * Consumes the definition. For an active pool it is kept for the next start, unless it equals the
 * definition in force.
 */
static void pool_load_definition(CstPool *pool, CstPoolFile *file)
{
    g_mutex_lock(&pool->lock);
    if (pool->active || pool->starting) {
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
    storage_index_update(pool);
    g_mutex_unlock(&pool->lock);
}

/*
 * Sets the definition from the state file. Returns TRUE if the pool has to be adopted. Returns
 * FALSE if it is active or being started already; its state file then contains no news.
 */
static gboolean pool_load_state(CstPool *pool, CstPoolFile *file)
{
    g_mutex_lock(&pool->lock);
    if (pool->active || pool->starting) {
        g_mutex_unlock(&pool->lock);
        return FALSE;
    }
    /*
     * The state contains the definition in force. A different definition file applies to the next
     * start.
     */
    cst_pool_def_free(pool->new_def);
    pool->new_def = NULL;
    if (pool->persistent && !same_definition(pool->def, file->def))
        pool->new_def = g_steal_pointer(&pool->def);
    cst_pool_def_free(pool->def);
    pool->def = g_steal_pointer(&file->def);
    storage_index_update(pool);
    g_mutex_unlock(&pool->lock);
    return TRUE;
}

/*
 * Reads the recorded identities of @pools before a pool is adopted, because storage without a
 * record would be accepted unseen. The elements are NULL without a record.
 */
static GPtrArray *load_identities(CstService *service, GPtrArray *pools, GError **error)
{
    g_autoptr(GPtrArray) identities = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < pools->len; i++) {
        const CstPool *pool = g_ptr_array_index(pools, i);
        char *identity;

        if (!cst_pool_identity_load(service->paths, &pool->uuid, &identity, error))
            return NULL;
        g_ptr_array_add(identities, identity);
    }
    return g_steal_pointer(&identities);
}

/* Adopts @pools, which have state files. All probes are started before the first wait. */
static gboolean adopt_all(CstService *service, GPtrArray *pools, GError **error)
{
    g_autoptr(GPtrArray) identities = load_identities(service, pools, error);
    g_autoptr(GPtrArray) states = g_ptr_array_new();

    if (!identities)
        return FALSE;
    for (guint i = 0; i < pools->len; i++) {
        CstPoolState *state = pool_state_open(g_ptr_array_index(pools, i), NULL);

        /* Only in the cases in which pool_adopt() waits for the answer. */
        if (state && service->mode == CST_SERVICE_DAEMON && !cst_pool_state_is_remote(state))
            cst_pool_state_answers(state, NULL);
        g_ptr_array_add(states, state);
    }
    service->load_until = g_get_monotonic_time() + LOAD_WAIT_US;
    for (guint i = 0; i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);
        g_autoptr(CstPoolState) state = g_ptr_array_index(states, i);
        g_autoptr(GError) why = NULL;

        if (!pool_adopt(pool, state, g_ptr_array_index(identities, i), &why))
            cst_log(CST_LOG_WARNING, "pool '%s' is no longer active: %s", pool->name, why->message);
    }
    return TRUE;
}

/* Removes the pools that have no file any more. @seen: the names of the pools with files. */
static void pools_remove_missing(CstService *service, GHashTable *seen)
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
        registry_remove(g_ptr_array_index(gone, i));
}

/*
 * Applies the absence of a file: another process has stopped or undefined the pool since the last
 * load (embedded mode).
 */
static void pool_apply_missing_files(CstPool *pool, gboolean has_definition, gboolean has_state)
{
    gboolean stopped;

    g_mutex_lock(&pool->lock);
    if (!has_definition)
        pool->persistent = pool->autostart = FALSE;
    stopped = !has_state && pool->active;
    g_mutex_unlock(&pool->lock);
    if (stopped)
        pool_set_inactive(pool);
}

/* @pools owns the references from find_or_add(). A pool with both files is in it twice. */
gboolean pools_load(CstService *service, GError **error)
{
    g_autoptr(GPtrArray) files = cst_pool_files_load(service->paths, error);
    g_autoptr(GPtrArray) states = files ? cst_pool_states_load(service->paths, error) : NULL;
    g_autoptr(GHashTable) defined = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) active = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) pools = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_unref);
    g_autoptr(GPtrArray) adopted = g_ptr_array_new();

    if (!states)
        return FALSE;
    for (guint i = 0; i < files->len; i++) {
        CstPoolFile *file = g_ptr_array_index(files, i);
        CstPool *pool = find_or_add(service, file->def);

        g_hash_table_add(defined, g_strdup(pool->name));
        pool_load_definition(pool, file);
        g_ptr_array_add(pools, pool);
    }
    for (guint i = 0; i < states->len; i++) {
        CstPoolFile *file = g_ptr_array_index(states, i);
        CstPool *pool = find_or_add(service, file->def);

        g_hash_table_add(active, g_strdup(pool->name));
        if (pool_load_state(pool, file))
            g_ptr_array_add(adopted, pool);
        g_ptr_array_add(pools, pool);
    }
    if (!adopt_all(service, adopted, error))
        return FALSE;
    for (guint i = 0; i < pools->len; i++) {
        CstPool *pool = g_ptr_array_index(pools, i);

        pool_apply_missing_files(pool, g_hash_table_contains(defined, pool->name),
                                 g_hash_table_contains(active, pool->name));
        /* From here on "active" contains the names of all pools with files, for
         * pools_remove_missing(). */
        g_hash_table_add(active, g_strdup(pool->name));
    }
    pools_remove_missing(service, active);
    return TRUE;
}
