/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes of the example backend. A draft is a disk that its store lists under its token. The
 * commit moves it to the disks under its name while the lock is held, so that it is one step for
 * other calls.
 */
#include "memory.h"

#include <base/error.h>
#include <base/flags.h>
#include <base/units.h>

#define METADATA_SIZE (16 * CST_MIB)
#define STEP          (64 * CST_KIB) /* of flattening */

/* --- drafts ----------------------------------------------------------------------------------- */

/* Adds @disk to the drafts and consumes the reference. The caller holds the lock. */
static void memory_add_draft(MemoryStore *store, MemoryDisk *disk, CstVolDraft *draft)
{
    draft->blob = memory_blob_new(disk, TRUE);
    draft->name = g_strdup(draft->token);
    draft->zeroed = TRUE;
    g_hash_table_insert(store->drafts, g_strdup(draft->token), disk);
}

/* Checks that a new disk for @def is possible. The caller holds the lock. */
static gboolean check_new(const MemoryStore *store, const CstVolDef *def, GError **error)
{
    if (def->type == CST_VOL_DIR)
        return cst_fail(error, CST_ERROR_CONFIG, "a store has no directory volumes");
    if (g_hash_table_contains(store->disks, def->name))
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
    if (def->capacity > CST_MEMORY_STORE_SIZE - memory_store_used(store))
        return cst_fail(error, CST_ERROR_NO_SPACE, "store '%s' has no room for volume '%s'",
                        store->name, def->name);
    return TRUE;
}

/* Atomic for other calls, because the lock is held. */
gboolean memory_vol_make(CstPoolState *state, const CstVolDef *def, GError **error)
{
    MemoryStore *store = memory_enter_store(state, "vol_make", error);
    gboolean fits;

    if (!store)
        return FALSE;
    fits = check_new(store, def, error);
    if (fits)
        g_hash_table_insert(store->disks, g_strdup(def->name),
                            memory_disk_new(def->name, def->capacity));
    memory_unlock();
    return fits;
}

gboolean memory_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                            GError **error)
{
    MemoryStore *store;
    gboolean fits;

    store = memory_enter_store(state, "vol_reserve", error);
    if (!store)
        return FALSE;
    fits = check_new(store, def, error);
    if (fits)
        memory_add_draft(store, memory_disk_new(def->name, def->capacity), draft);
    memory_unlock();
    return fits;
}

/* Moves the draft to the disks in one step. VOL_EXISTS if the name is in use by now. */
gboolean memory_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                           GError **error)
{
    MemoryStore *store;
    gboolean free_name;

    store = memory_enter_store(state, "vol_commit", error);
    if (!store)
        return FALSE;
    free_name = !g_hash_table_contains(store->disks, def->name);
    if (free_name) {
        gpointer token, disk;

        if (g_hash_table_steal_extended(store->drafts, draft->token, &token, &disk)) {
            g_hash_table_insert(store->disks, g_strdup(def->name), disk);
            g_free(token);
        }
    }
    memory_unlock();
    return free_name || cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
}

/* May be called by a process other than the maker of the draft, and repeatedly. */
gboolean memory_vol_abandon(CstPoolState *state, const char *token, GError **error)
{
    MemoryStore *store;

    store = memory_enter_store(state, "vol_abandon", error);
    if (!store)
        return FALSE;
    g_hash_table_remove(store->drafts, token);
    memory_unlock();
    return TRUE;
}

/* Only the table has a reference. */
static gboolean memory_draft_is_dead(gpointer token, gpointer disk, gpointer data)
{
    return g_atomic_int_get(&((MemoryDisk *)disk)->refs) == 1;
}

/* The maker of a volume keeps its draft open, so a draft that is not open has no live maker. */
gboolean memory_drop_drafts(CstPoolState *state, GError **error)
{
    MemoryStore *store = memory_enter_store(state, "drop_drafts", error);

    if (!store)
        return FALSE;
    g_hash_table_foreach_remove(store->drafts, memory_draft_is_dead, NULL);
    memory_unlock();
    return TRUE;
}

/* --- volumes ---------------------------------------------------------------------------------- */

/* Succeeds if the volume does not exist. Removes its snapshots, too. */
gboolean memory_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    MemoryStore *store;

    if (!cst_flags_check(flags, 0, "virStorageBackendVolDeleteMemory", error))
        return FALSE;
    store = memory_enter_store(state, "vol_delete", error);
    if (!store)
        return FALSE;
    g_hash_table_remove(store->disks, name);
    memory_unlock();
    return TRUE;
}

/* Updates the name of the disk in its clones. The caller holds the lock. */
static void rename_origins(MemoryStore *store, const char *name, const char *new_name)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, store->disks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        MemoryDisk *disk = value;

        if (g_strcmp0(disk->origin, name) == 0) {
            g_free(disk->origin);
            disk->origin = g_strdup(new_name);
            g_mutex_lock(&disk->lock);
            disk->writes++; /* its old record is outdated */
            g_mutex_unlock(&disk->lock);
        }
    }
}

/* Snapshots are part of the disk. If disk @name is missing, it was already renamed to @new_name. */
gboolean memory_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                           GError **error)
{
    MemoryStore *store = memory_enter_store(state, "vol_rename", error);
    MemoryDisk *disk, *taken;
    gpointer key, value;

    if (!store)
        return FALSE;
    disk = g_hash_table_lookup(store->disks, name);
    taken = g_hash_table_lookup(store->disks, new_name);
    if (disk && !taken && g_hash_table_steal_extended(store->disks, name, &key, &value)) {
        g_free(key);
        g_free(disk->name);
        disk->name = g_strdup(new_name);
        g_hash_table_insert(store->disks, g_strdup(new_name), value);
        rename_origins(store, name, new_name);
    }
    memory_unlock();
    if (!disk && !taken)
        return cst_fail_no_volume(name, error);
    return !disk || !taken || cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", new_name);
}

CstBlob *memory_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error)
{
    MemoryDisk *disk = memory_enter_disk(state, "vol_open", name, error);
    CstBlob *blob = NULL;

    if (disk) {
        blob = memory_blob_new(disk, writable);
        memory_unlock();
    }
    return blob;
}

gboolean memory_vol_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                           GError **error)
{
    MemoryDisk *disk = memory_enter_disk(state, "vol_resize", name, error);
    gboolean fits = capacity <= CST_MEMORY_STORE_SIZE;

    if (!disk)
        return FALSE;
    if (fits)
        memory_disk_resize(disk, capacity);
    memory_unlock();
    return fits || cst_fail(error, CST_ERROR_NO_SPACE, "volume '%s' cannot become so large", name);
}

/* --- sharing ---------------------------------------------------------------------------------- */

/* Makes a draft that shares the blocks of @source or of its snapshot. The caller holds the lock. */
static gboolean add_clone(MemoryStore *store, MemoryDisk *source, const char *snapshot,
                          const CstVolDef *def, CstVolDraft *draft, GError **error)
{
    MemoryDisk *from = memory_disk_at(source, snapshot, error);
    MemoryDisk *clone;

    if (!from || !check_new(store, def, error))
        return FALSE;
    clone = memory_disk_copy(from, def->name);
    if (def->capacity > memory_disk_stamp(clone).size)
        memory_disk_resize(clone, def->capacity);
    clone->origin = g_strdup(source->name);
    clone->origin_at = g_strdup(snapshot);
    memory_add_draft(store, clone, draft);
    return TRUE;
}

/* Always possible, so the core never copies within a store. */
gboolean memory_vol_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                  const char *snapshot, CstVolDraft *draft, GError **error)
{
    MemoryDisk *disk = memory_enter_disk(state, "vol_reserve_clone", source, error);
    gboolean done;

    if (!disk)
        return FALSE;
    done = add_clone(memory_store(state->def->source.name), disk, snapshot, def, draft, error);
    memory_unlock();
    return done;
}

gboolean memory_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                            GError **error)
{
    MemoryDisk *disk = memory_enter_disk(state, "vol_holders", name, error);

    if (!disk)
        return FALSE;
    for (guint i = 0; i < disk->users->len; i++)
        cst_holders_add(holders, 0, "%s", (const char *)disk->users->pdata[i]);
    memory_unlock();
    return TRUE;
}

gboolean memory_vol_children(CstPoolState *state, const char *name, GPtrArray *children,
                             GError **error)
{
    MemoryDisk *disk = memory_enter_disk(state, "vol_children", name, error);

    if (!disk)
        return FALSE;
    memory_list_clones(state, disk, NULL, children);
    memory_unlock();
    return TRUE;
}

/*
 * Copies block by block without holding the lock. The disk is complete and consistent after each
 * block, and a repeated call continues.
 */
gboolean memory_vol_flatten(CstPoolState *state, const char *name, CstTask *task, GError **error)
{
    MemoryDisk *found = memory_enter_disk(state, "vol_flatten", name, error);
    g_autoptr(MemoryDisk) disk = found ? memory_disk_ref(found) : NULL;

    if (!disk)
        return FALSE;
    memory_unlock();
    cst_task_set_total(task, memory_disk_stamp(disk).size);
    for (guint i = 0; memory_disk_own(disk, i); i++) {
        if (!cst_task_check(task, error))
            return FALSE;
        cst_task_advance(task, STEP);
    }
    memory_lock();
    g_clear_pointer(&disk->origin, g_free);
    g_clear_pointer(&disk->origin_at, g_free);
    memory_unlock();
    return TRUE;
}

/* The whole store is thin: unwritten blocks use no space. */
gboolean memory_thin(CstPoolState *state, GPtrArray *stores, GError **error)
{
    MemoryStore *store = memory_enter_store(state, "thin", error);
    CstThinStore *thin;
    GHashTableIter iter;
    gpointer disk;

    if (!store)
        return FALSE;
    thin = g_new0(CstThinStore, 1);
    thin->name = g_strdup(store->name);
    thin->size = CST_MEMORY_STORE_SIZE;
    thin->used = memory_store_used(store);
    thin->metadata_size = METADATA_SIZE;
    g_hash_table_iter_init(&iter, store->disks);
    while (g_hash_table_iter_next(&iter, NULL, &disk))
        thin->volumes += 1 + ((MemoryDisk *)disk)->below->len;
    memory_unlock();
    thin->metadata_used = thin->volumes * CST_KIB;
    g_ptr_array_add(stores, thin);
    return TRUE;
}
