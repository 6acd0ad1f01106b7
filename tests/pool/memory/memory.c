/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The example backend: all groups of callbacks on a minimal technology. It keeps no state besides
 * the state of the core; each call looks up the stored objects (lookup.c). This file has the table,
 * in the layer above the files that do the work, which do not call back.
 */
#include <pool/memory.h>

#include <string.h>

#include <base/error.h>
#include <base/flags.h>

#include "memory.h"

/* --- state ------------------------------------------------------------------------------------ */

/* Does not look up the store, because a state may be opened before its store exists. */
static CstPoolState *memory_pool_open(const CstPoolDef *def, GError **error)
{
    CstPoolState *state = g_new0(CstPoolState, 1);

    state->def = cst_pool_def_copy(def);
    return state;
}

static void memory_pool_close(CstPoolState *state)
{
    cst_pool_def_free(state->def);
    g_free(state);
}

/* If the store does not exist, the pool is inactive; this is not an error. */
static gboolean memory_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    MemoryStore *store;

    if (!memory_enter("check", error))
        return FALSE;
    memory_lock();
    store = memory_store(state->def->source.name);
    *ret_active = store && store->active;
    memory_unlock();
    return TRUE;
}

/* --- volumes ---------------------------------------------------------------------------------- */

/* Parses "STORE/NAME", without a leading slash, as with RBD. */
static char *memory_vol_resolve(CstPoolState *state, const char *path)
{
    size_t len = strlen(state->def->source.name);

    if (strncmp(path, state->def->source.name, len) != 0 || path[len] != '/' || !path[len + 1])
        return NULL;
    return g_strdup(path + len + 1);
}

/* Makes the record of a disk, or returns @known if the disk has not changed since. */
static CstVolume *memory_disk_to_volume(CstPoolState *state, MemoryDisk *disk, CstVolume *known)
{
    CstVolumeStamp stamp = memory_disk_stamp(disk);
    CstVolume *volume;

    if (known && cst_volume_stamp_equal(&known->stamp, &stamp) && !known->extra == !disk->origin)
        return cst_volume_ref(known);
    volume = cst_volume_new(disk->name);
    volume->type = CST_VOL_NETWORK;
    volume->format = "raw";
    volume->capacity = volume->physical = stamp.size;
    volume->allocation = memory_disk_used(disk);
    volume->stamp = stamp;
    volume->mode = volume->uid = volume->gid = CST_PERMS_UNSET;
    if (disk->origin) {
        cst_volume_extra(volume)->backing_path = memory_vol_path(state, disk->origin);
        cst_volume_extra(volume)->backing_format = g_strdup("raw");
        cst_volume_extra(volume)->backing_trust = CST_TRUST_NAMED;
    }
    return volume;
}

static gboolean memory_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    MemoryStore *store;
    GHashTableIter iter;
    gpointer disk;

    store = memory_enter_store(state, "scan", error);
    if (!store)
        return FALSE;
    g_hash_table_iter_init(&iter, store->disks);
    while (g_hash_table_iter_next(&iter, NULL, &disk)) {
        const char *name = ((MemoryDisk *)disk)->name;
        g_autoptr(CstVolume) known = scan->known(name, scan->data);

        if (!cst_name_is_trash(name))
            scan->sink(memory_disk_to_volume(state, disk, known), scan->data);
    }
    memory_unlock();
    return TRUE;
}

static gboolean memory_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                                CstVolume **ret_volume, GError **error)
{
    MemoryStore *store;
    MemoryDisk *disk;

    store = memory_enter_store(state, "scan_one", error);
    if (!store)
        return FALSE;
    disk = g_hash_table_lookup(store->disks, name);
    *ret_volume = disk ? memory_disk_to_volume(state, disk, known) : NULL;
    memory_unlock();
    return TRUE;
}

/* Shared blocks count once, so the sum of the volumes may be larger. */
static gboolean memory_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    MemoryStore *store;

    store = memory_enter_store(state, "usage", error);
    if (!store)
        return FALSE;
    ret_usage->capacity = CST_MEMORY_STORE_SIZE;
    ret_usage->allocation = memory_store_used(store);
    ret_usage->available = CST_MEMORY_STORE_SIZE - ret_usage->allocation;
    memory_unlock();
    return TRUE;
}

/* --- lifecycle -------------------------------------------------------------------------------- */

/* An existing store is kept. */
static gboolean memory_build(CstPoolState *state, unsigned flags, GError **error)
{
    if (!cst_flags_check(flags, 0, "virStorageBackendMemoryBuild", error) ||
        !memory_enter("build", error))
        return FALSE;
    memory_lock();
    memory_store_build(state->def->source.name);
    memory_unlock();
    return TRUE;
}

static gboolean memory_set_active(CstPoolState *state, const char *callback, gboolean active,
                                  GError **error)
{
    MemoryStore *store = memory_enter_store(state, callback, error);

    if (!store)
        return FALSE;
    store->active = active;
    memory_unlock();
    return TRUE;
}

static gboolean memory_start(CstPoolState *state, GError **error)
{
    return memory_set_active(state, "start", TRUE, error);
}

static gboolean memory_stop(CstPoolState *state, GError **error)
{
    return memory_set_active(state, "stop", FALSE, error);
}

/* The check is under the same lock as the removal, so that no volume is added in between. */
static gboolean memory_destroy(CstPoolState *state, unsigned flags, GError **error)
{
    MemoryStore *store;
    guint left;

    if (!cst_flags_check(flags, 0, "virStorageBackendMemoryDelete", error))
        return FALSE;
    store = memory_enter_store(state, "destroy", error);
    if (!store)
        return FALSE;
    left = g_hash_table_size(store->disks);
    if (left == 0)
        memory_store_remove(state->def->source.name);
    memory_unlock();
    return left == 0 || cst_fail(error, CST_ERROR_BUSY, "store '%s' still has %u volumes",
                                 state->def->source.name, left);
}

const CstBackend cst_memory_backend = {
    .type = CST_POOL_RBD,
    .keeps_trash = TRUE,
    .reserved_prefix = CST_TRASH_PREFIX,
    .open = memory_pool_open,
    .close = memory_pool_close,
    .check = memory_check,
    .scan = memory_scan,
    .scan_one = memory_scan_one,
    .usage = memory_usage,
    .vol_path = memory_vol_path,
    .vol_resolve = memory_vol_resolve,
    .build = memory_build,
    .start = memory_start,
    .stop = memory_stop,
    .destroy = memory_destroy,
    .drop_drafts = memory_drop_drafts,
    .vol_make = memory_vol_make,
    .vol_reserve = memory_vol_reserve,
    .vol_commit = memory_vol_commit,
    .vol_abandon = memory_vol_abandon,
    .vol_delete = memory_vol_delete,
    .vol_rename = memory_vol_rename,
    .vol_open = memory_vol_open,
    .vol_resize = memory_vol_resize,
    .vol_reserve_clone = memory_vol_reserve_clone,
    .vol_holders = memory_vol_holders,
    .vol_children = memory_vol_children,
    .vol_flatten = memory_vol_flatten,
    .thin = memory_thin,
    .snapshots = &memory_snapshots,
};
