/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's table, in the layer above the files that do the work, and the lifecycle of a pool's
 * state. From its start on, a pool is identified by the guids of its ZFS pool and of its dataset.
 * Each call compares the dataset's guid (dataset.c). The ZFS pool's guid distinguishes the halves
 * of a split mirror; it is compared when the pool's sizes are read.
 */
#include "zfs.h"

#include <stdio.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

static void zfs_state_free(CstPoolState *state)
{
    ZfsState *zfs = ZFS(state);

    g_free(zfs->pool);
    g_free(zfs->pool_guid);
    g_free(zfs->root_guid);
    g_clear_pointer(&zfs->common, g_ptr_array_unref);
    zfs_cache_clear(zfs->cache);
    g_free(zfs->cache);
    cst_pool_def_free(state->def);
    g_free(zfs);
}

static CstPoolState *zfs_open(const CstPoolDef *def, GError **error)
{
    ZfsState *zfs = g_new0(ZfsState, 1);

    zfs->head.def = cst_pool_def_copy(def);
    zfs->root = zfs->head.def->source.name;
    zfs->cache = g_new0(ZfsCache, 1);
    zfs_cache_init(zfs->cache);
    zfs->pool = g_strndup(zfs->root, strcspn(zfs->root, "/"));
    if (zfs_root_check(zfs->root, error) && zfs_options_read(zfs, error))
        return &zfs->head;
    zfs_state_free(&zfs->head);
    return NULL;
}

/* --- identity --------------------------------------------------------------------------------- */

#define IDENTITY_FORMAT "zpool=%s dataset=%s\n"

/* Reads both guids. FALSE with @error. */
static gboolean read_guids(const ZfsState *state, char **ret_pool, char **ret_root, GError **error)
{
    g_autoptr(ZfsPool) pool = zfs_read_pool(state, error);
    g_autoptr(GPtrArray) datasets = pool ? zfs_read(state, NULL, error) : NULL;

    if (!datasets)
        return FALSE;
    *ret_pool = g_strdup(pool->guid);
    *ret_root = g_strdup(zfs_datasets_find(datasets, state->root)->guid);
    return TRUE;
}

static char *zfs_identity(CstPoolState *state, GError **error)
{
    g_autofree char *pool = NULL, *root = NULL;

    return read_guids(ZFS(state), &pool, &root, error)
               ? g_strdup_printf(IDENTITY_FORMAT, pool, root)
               : NULL;
}

/* A start accepts another ZFS pool of the name, and expects it from then on. */
static gboolean zfs_expect(CstPoolState *state, const char *recorded, gboolean starting,
                           GError **error)
{
    ZfsState *zfs = ZFS(state);
    char pool[21], root[21];

    g_clear_pointer(&zfs->pool_guid, g_free);
    g_clear_pointer(&zfs->root_guid, g_free);
    zfs_cache_reset(zfs->cache);
    if (starting)
        return read_guids(zfs, &zfs->pool_guid, &zfs->root_guid, error);
    if (recorded && sscanf(recorded, "zpool=%20[0-9] dataset=%20[0-9]", pool, root) == 2) {
        zfs->pool_guid = g_strdup(pool);
        zfs->root_guid = g_strdup(root);
    }
    return TRUE;
}

static const char *const secret_options[] = {"key-secret", NULL};

const CstBackend cst_zfs_backend = {
    .type = CST_POOL_ZFS,
    .ends_dry_runs = TRUE,
    .flattens_at_rest = TRUE,
    .delete_refuses = TRUE,
    .keeps_trash = TRUE,
    .reserved_prefix = CST_HIDDEN_PREFIX,
    .secret_options = secret_options,
    .open = zfs_open,
    .close = zfs_state_free,
    .check = zfs_check,
    .touch = zfs_touch,
    .scan = zfs_scan,
    .scan_one = zfs_scan_one,
    .usage = zfs_usage,
    .health = zfs_health,
    .vol_identity = zfs_vol_identity,
    .vol_path = zfs_vol_path,
    .vol_resolve = zfs_vol_resolve,
    .build = zfs_build,
    .start = zfs_start,
    .destroy = zfs_destroy,
    .drop_drafts = zfs_drop_drafts,
    .identity = zfs_identity,
    .expect = zfs_expect,
    .vol_make = zfs_vol_make,
    .vol_reserve = zfs_vol_reserve,
    .vol_reserve_clone = zfs_vol_reserve_clone,
    .vol_commit = zfs_vol_commit,
    .vol_abandon = zfs_vol_abandon,
    .vol_delete = zfs_vol_delete,
    .vol_rename = zfs_vol_rename,
    .vol_rename_from = zfs_vol_rename_from,
    .vol_open = zfs_vol_open,
    .vol_resize = zfs_vol_resize,
    .vol_children = zfs_vol_children,
    .vol_holders = zfs_vol_holders,
    .vol_flatten = zfs_vol_flatten,
    .snapshots = &zfs_snapshots,
    .watch_open = zfs_watch_open,
    .watch_read = zfs_watch_read,
};
