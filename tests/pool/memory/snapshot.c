/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots of the example backend: disks in their volume's list, which share all blocks with the
 * volume. A clone refers to its disk and its snapshot by name, so a rename updates the clones. Each
 * change is one step under the lock.
 */
#include "memory.h"

#include <base/error.h>

/* The list is sorted by age, because snapshots are appended. */
static gboolean memory_snapshot_list(CstPoolState *state, const char *volume, GPtrArray *snapshots,
                                     GError **error)
{
    MemoryDisk *disk = memory_enter_disk(state, "snapshots.list", volume, error);

    if (!disk)
        return FALSE;
    for (guint i = 0; i < disk->below->len; i++) {
        MemoryDisk *from = g_ptr_array_index(disk->below, i);
        CstSnapshot *to = g_new0(CstSnapshot, 1);

        to->name = g_strdup(from->name);
        to->created = from->created;
        to->capacity = from->size;
        to->allocation = CST_SNAPSHOT_UNKNOWN;
        cst_snapshot_read_record(to, from->record);
        g_ptr_array_add(snapshots, to);
    }
    memory_unlock();
    return TRUE;
}

static gboolean memory_snapshot_create(CstPoolState *state, const char *volume, const char *name,
                                       const CstSnapshotCreate *how, CstTask *task, GError **error)
{
    MemoryDisk *disk = memory_enter_disk(state, "snapshots.create", volume, error);
    gboolean fresh;

    if (!disk)
        return FALSE;
    fresh = memory_disk_find(disk, name) < 0;
    if (fresh) {
        MemoryDisk *snapshot = memory_disk_copy(disk, name);

        snapshot->record = cst_consistency_record(how->consistency, how->consistency_reason);
        g_ptr_array_add(disk->below, snapshot);
    }
    memory_unlock();
    return fresh || cst_fail_snapshot_exists(volume, name, error);
}

/* Returns snapshot @name of @volume with the lock held. NULL with @error, without the lock. */
static MemoryDisk *enter_snapshot(CstPoolState *state, const char *callback, const char *volume,
                                  const char *name, GError **error)
{
    MemoryDisk *disk = memory_enter_disk(state, callback, volume, error);
    MemoryDisk *snapshot = disk ? memory_disk_at(disk, name, error) : NULL;

    if (disk && !snapshot)
        memory_unlock();
    return snapshot;
}

static gboolean memory_snapshot_revert(CstPoolState *state, const char *volume, const char *name,
                                       const GPtrArray *agreed, CstTask *task, GError **error)
{
    MemoryDisk *snapshot = enter_snapshot(state, "snapshots.revert", volume, name, error);

    if (!snapshot)
        return FALSE;
    memory_disk_become(g_hash_table_lookup(memory_store(state->def->source.name)->disks, volume),
                       snapshot);
    memory_unlock();
    return TRUE;
}

/* Clones refer to the snapshot by name, so it must be kept while it has clones. */
static gboolean memory_snapshot_remove(CstPoolState *state, const char *volume, const char *name,
                                       CstTask *task, GError **error)
{
    MemoryDisk *snapshot = enter_snapshot(state, "snapshots.remove", volume, name, error);
    g_autoptr(GPtrArray) clones = g_ptr_array_new_with_free_func(g_free);
    MemoryDisk *disk;

    if (!snapshot)
        return FALSE;
    disk = g_hash_table_lookup(memory_store(state->def->source.name)->disks, volume);
    memory_list_clones(state, disk, name, clones);
    if (clones->len == 0)
        g_ptr_array_remove(disk->below, snapshot);
    memory_unlock();
    return clones->len == 0 ||
           cst_fail(error, CST_ERROR_BUSY, "snapshot '%s' of volume '%s' is the base of '%s'", name,
                    volume, (const char *)clones->pdata[0]);
}

/* Updates the name of the snapshot in its clones. The caller holds the lock. */
static void rename_origin(MemoryStore *store, const char *volume, const char *name,
                          const char *new_name)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, store->disks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        MemoryDisk *disk = value;

        if (g_strcmp0(disk->origin, volume) == 0 && g_strcmp0(disk->origin_at, name) == 0) {
            g_free(disk->origin_at);
            disk->origin_at = g_strdup(new_name);
        }
    }
}

static gboolean memory_snapshot_rename(CstPoolState *state, const char *volume, const char *name,
                                       const char *new_name, GError **error)
{
    MemoryDisk *snapshot = enter_snapshot(state, "snapshots.rename", volume, name, error);
    MemoryStore *store;
    gboolean fresh;

    if (!snapshot)
        return FALSE;
    store = memory_store(state->def->source.name);
    fresh = memory_disk_find(g_hash_table_lookup(store->disks, volume), new_name) < 0;
    if (fresh) {
        rename_origin(store, volume, name, new_name);
        g_free(snapshot->name);
        snapshot->name = g_strdup(new_name);
    }
    memory_unlock();
    return fresh || cst_fail_snapshot_exists(volume, new_name, error);
}

static CstBlob *memory_snapshot_open(CstPoolState *state, const char *volume, const char *name,
                                     GError **error)
{
    MemoryDisk *snapshot = enter_snapshot(state, "snapshots.open", volume, name, error);
    CstBlob *blob = NULL;

    if (snapshot) {
        blob = memory_blob_new(snapshot, FALSE);
        memory_unlock();
    }
    return blob;
}

static gboolean memory_snapshot_changed(CstPoolState *state, const char *volume, const char *since,
                                        const char *until, CstTask *task, CstChanged *changed,
                                        GError **error)
{
    MemoryDisk *older = enter_snapshot(state, "snapshots.changed", volume, since, error);
    MemoryDisk *disk, *newer;

    if (!older)
        return FALSE;
    disk = g_hash_table_lookup(memory_store(state->def->source.name)->disks, volume);
    newer = memory_disk_at(disk, until, error);
    if (newer)
        memory_disk_changed(older, newer, changed);
    memory_unlock();
    return newer != NULL;
}

const CstSnapshotBackend memory_snapshots = {
    .of_drafts = TRUE,
    .list = memory_snapshot_list,
    .create = memory_snapshot_create,
    .revert = memory_snapshot_revert,
    .remove = memory_snapshot_remove,
    .rename = memory_snapshot_rename,
    .open = memory_snapshot_open,
    .changed = memory_snapshot_changed,
};
