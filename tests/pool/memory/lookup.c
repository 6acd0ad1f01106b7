/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The start of each callback: looks up the store, the disk or the snapshot, and acquires the lock,
 * because other calls may have changed it. On success the caller holds the lock and must release
 * it. On failure the lock is not held.
 */
#include "memory.h"

#include <base/error.h>

char *memory_vol_path(CstPoolState *state, const char *name)
{
    return g_strconcat(state->def->source.name, "/", name, NULL);
}

/* The fault is tried without the lock, so that a call that hangs does not block other calls. */
MemoryStore *memory_enter_store(CstPoolState *state, const char *callback, GError **error)
{
    MemoryStore *store;

    if (!memory_enter(callback, error))
        return NULL;
    memory_lock();
    store = memory_store(state->def->source.name);
    if (store)
        return store;
    memory_unlock();
    cst_fail(error, CST_ERROR_NOT_FOUND, "there is no store '%s'; pool-build makes it",
             state->def->source.name);
    return NULL;
}

MemoryDisk *memory_enter_disk(CstPoolState *state, const char *callback, const char *name,
                              GError **error)
{
    MemoryStore *store = memory_enter_store(state, callback, error);
    MemoryDisk *disk = store ? g_hash_table_lookup(store->disks, name) : NULL;

    if (store && !disk)
        disk = g_hash_table_lookup(store->drafts, name);
    if (store && !disk) {
        memory_unlock();
        cst_fail_no_volume(name, error);
    }
    return disk;
}

MemoryDisk *memory_disk_at(MemoryDisk *disk, const char *snapshot, GError **error)
{
    int at = snapshot ? memory_disk_find(disk, snapshot) : -1;

    if (!snapshot)
        return disk;
    if (at >= 0)
        return g_ptr_array_index(disk->below, (guint)at);
    cst_fail_no_snapshot(disk->name, snapshot, error);
    return NULL;
}

/*
 * Appends the clones of @disk (@snapshot NULL: of any of its snapshots). The caller holds the lock.
 */
void memory_list_clones(CstPoolState *state, MemoryDisk *disk, const char *snapshot,
                        GPtrArray *children)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, memory_store(state->def->source.name)->disks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const MemoryDisk *other = value;

        if (g_strcmp0(other->origin, disk->name) == 0 &&
            (!snapshot || g_strcmp0(other->origin_at, snapshot) == 0))
            g_ptr_array_add(children, memory_vol_path(state, other->name));
    }
}
