/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of existing volumes: delete and resize; also their users and dependents. ZFS does not
 * remove a volume with snapshots. This file removes only snapshots of our own that are no longer
 * needed.
 */
#include "zfs.h"

#include <inttypes.h>
#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/units.h>

/* --- users and dependents --------------------------------------------------------------------- */

/*
 * Returns the path of a clone, in the form of vol_path; also for another dataset of the ZFS pool.
 */
static char *zfs_clone_path(CstPoolState *state, const char *dataset)
{
    const char *volume = zfs_volume_of(ZFS(state), dataset);

    return volume ? zfs_vol_path(state, volume) : zfs_device_of(dataset);
}

gboolean zfs_vol_children(CstPoolState *state, const char *name, GPtrArray *children,
                          GError **error)
{
    g_autoptr(GPtrArray) datasets = NULL, snapshots = NULL;
    const ZfsDataset *dataset = zfs_look_volume(ZFS(state), name, &datasets, error);

    snapshots = dataset ? zfs_read_snapshots(dataset->name, FALSE, error) : NULL;
    for (guint i = 0; snapshots && i < snapshots->len; i++) {
        const ZfsSnapshot *snapshot = g_ptr_array_index(snapshots, i);

        for (char **clone = snapshot->clones; *clone; clone++)
            if (cst_device_name_is_volume(zfs_last_of(*clone)))
                g_ptr_array_add(children, zfs_clone_path(state, *clone));
    }
    return snapshots != NULL;
}

gboolean zfs_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders, GError **error)
{
    g_autofree char *dataset = zfs_dataset_of(ZFS(state), name);
    g_autofree char *path = zfs_device_of(dataset);

    return cst_device_holders(path, holders, error);
}

/* --- delete ----------------------------------------------------------------------------------- */

gboolean zfs_refuse_snapshots(const ZfsState *state, const char *name, const char *dataset,
                              GError **error)
{
    g_autoptr(GPtrArray) snapshots = zfs_read_snapshots(dataset, FALSE, error);

    for (guint i = 0; snapshots && i < snapshots->len; i++) {
        const ZfsSnapshot *snapshot = g_ptr_array_index(snapshots, i);

        if (*snapshot->clones)
            return cst_fail(error, CST_ERROR_BUSY, _("volume '%s' has a clone, '%s'"), name,
                            *snapshot->clones);
        if (!cst_draft_is_hidden(snapshot->name))
            return cst_fail(error, CST_ERROR_BUSY, _("volume '%s' has a snapshot, '%s'"), name,
                            snapshot->name);
        if (cst_draft_maker_lives(snapshot->name))
            return cst_fail(error, CST_ERROR_BUSY, _("volume '%s' is being cloned"), name);
        if (!cst_dry_run() && !zfs_drop_snapshot(state, snapshot, error))
            return FALSE;
    }
    return snapshots != NULL;
}

/*
 * A dry run does not call ZFS, so it checks for the snapshots and clones that would prevent the
 * removal.
 */
static gboolean check_delete(const ZfsState *state, const char *name, GError **error)
{
    g_autoptr(GPtrArray) datasets = NULL;
    const ZfsDataset *dataset = zfs_read_volume(state, name, &datasets, error);

    return dataset && zfs_refuse_snapshots(state, name, dataset->name, error);
}

/*
 * Removes the volume that was last reported under the name, and no other volume that has the name
 * now. If ZFS refuses because of snapshots, removes our own unneeded snapshots and tries again.
 */
static gboolean zfs_delete_reported(const ZfsState *state, const char *name, const char *dataset,
                                    GError **error)
{
    uint64_t kept = 0;
    g_autofree char *guid = zfs_cache_shown(state->cache, dataset, &kept);
    g_autoptr(GError) why = NULL;
    ZfsEnd end = zfs_destroy_volume(state, dataset, guid, &why);

    if (end == ZFS_NEEDED) {
        if (!zfs_refuse_snapshots(state, name, dataset, error))
            return FALSE;
        g_clear_error(&why);
        end = zfs_destroy_volume(state, dataset, guid, &why);
    }
    if (end == ZFS_GONE)
        return cst_fail_no_volume(name, error);
    if (end != ZFS_DONE) {
        /* Drop the old guid, so that a caller who has seen the new volume can remove it. */
        zfs_cache_gone(state->cache, dataset);
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    zfs_cache_gone(state->cache, dataset);
    if (guid)
        cst_report_cache_account(&state->cache->reports, -(int64_t)kept);
    return TRUE;
}

gboolean zfs_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    g_autofree char *dataset = zfs_dataset_of(ZFS(state), name);

    if (!cst_flags_check(flags, 0, "virStorageBackendZFSDeleteVol", error))
        return FALSE;
    if (!zfs_is_name(name) || !cst_device_name_is_volume(zfs_last_of(name)))
        return cst_fail_no_volume(name, error);
    if (cst_dry_run() && !check_delete(ZFS(state), name, error))
        return FALSE;
    if (!cst_may_change(error))
        return FALSE;
    CST_CRASH_POINT("zfs.delete.before");
    if (!zfs_delete_reported(ZFS(state), name, dataset, error))
        return FALSE;
    CST_CRASH_POINT("zfs.delete.removed");
    return TRUE;
}

/* --- rename ----------------------------------------------------------------------------------- */

/*
 * ZFS would refuse the same cases itself. The check is needed for a dry run, and for a repetition
 * after a crash.
 */
static gboolean find_both(const ZfsState *state, const char *from, const char *to,
                          gboolean *ret_from, gboolean *ret_to, GError **error)
{
    const char *const names[] = {from, to, NULL};
    g_autoptr(GPtrArray) datasets = zfs_read(state, names, error);

    if (!datasets)
        return FALSE;
    *ret_from = zfs_datasets_find(datasets, from) != NULL;
    *ret_to = zfs_datasets_find(datasets, to) != NULL;
    return TRUE;
}

/*
 * Clones and snapshots refer to the dataset's id, so they are kept. @from: dataset in the source
 * pool.
 */
static gboolean rename_to(const ZfsState *state, const ZfsState *from_state, const char *from,
                          const char *to, const char *new_name, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (zfs_rename_dataset(state, from, to, &why)) {
        zfs_cache_changed(from_state->cache);
        zfs_cache_gone(from_state->cache, from);
        return TRUE;
    }
    if (g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS))
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", new_name);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean zfs_vol_rename(CstPoolState *state, const char *name, const char *new_name, GError **error)
{
    g_autofree char *from = zfs_dataset_of(ZFS(state), name);
    g_autofree char *to = zfs_dataset_of(ZFS(state), new_name);
    gboolean is_there, is_taken;

    if (!zfs_name_check(ZFS(state), new_name, error) ||
        !find_both(ZFS(state), from, to, &is_there, &is_taken, error))
        return FALSE;
    if (is_there && is_taken)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", new_name);
    if (!is_there)
        return is_taken || cst_fail_no_volume(name, error);
    return cst_may_change(error) && rename_to(ZFS(state), ZFS(state), from, to, new_name, error);
}

/*
 * ZFS does not move a dataset away from its encryption root, unless the volume has a key of its
 * own. It would move an unencrypted volume unchanged below an encryption root, where a copy would
 * be encrypted. That is not expected of a move, so it is refused.
 */
static gboolean same_key(const ZfsDataset *volume, const ZfsDataset *parent, GError **error)
{
    const char *root = volume->encryption_root;

    return g_strcmp0(root, parent->encryption_root) == 0 || g_strcmp0(root, volume->name) == 0 ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("'%s' is not encrypted with the key of ZFS dataset '%s'"), volume->name,
                    parent->name);
}

gboolean zfs_vol_rename_from(CstPoolState *state, CstPoolState *from_state, const char *name,
                             const char *new_name, GError **error)
{
    const ZfsState *here = ZFS(state), *there = ZFS(from_state);
    g_autofree char *from = zfs_dataset_of(there, name);
    g_autofree char *to = zfs_dataset_of(here, new_name);
    g_autofree char *parent = zfs_parent_of(to);
    const char *const names[] = {from, to, parent, NULL};
    g_autoptr(GPtrArray) datasets = NULL;
    const ZfsDataset *volume, *above;

    if (strcmp(here->pool, there->pool) != 0)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' and '%s' are different ZFS pools"),
                        there->pool, here->pool);
    if (!zfs_name_check(here, new_name, error) || !zfs_check_parent(here, new_name, error) ||
        !zfs_prove(there, error))
        return FALSE;
    datasets = zfs_read(here, names, error);
    if (!datasets)
        return FALSE;
    volume = zfs_datasets_find(datasets, from);
    if (!volume || !volume->is_volume)
        return cst_fail_no_volume(name, error);
    if (zfs_datasets_find(datasets, to))
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", new_name);
    above = zfs_datasets_find(datasets, parent);
    if (!above)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no ZFS dataset '%s'"), parent);
    return same_key(volume, above, error) && cst_may_change(error) &&
           rename_to(here, there, from, to, new_name, error);
}

/* --- resize ----------------------------------------------------------------------------------- */

gboolean zfs_set_size(const ZfsState *state, const char *dataset, uint64_t size, CstTask *task,
                      GError **error)
{
    g_autofree char *option = g_strdup_printf("volsize=%" PRIu64, size);

    return zfs_change(state, task, error, "zfs", "set", option, dataset, NULL);
}

/*
 * Checks the current size of the volume. @why: the tool's error (NULL: it reported success), which
 * is returned if the size is wrong.
 */
static gboolean zfs_check_size(const ZfsState *state, const char *name, uint64_t size, GError **why,
                               GError **error)
{
    g_autoptr(GPtrArray) datasets = NULL;
    const ZfsDataset *dataset = zfs_read_volume(state, name, &datasets, error);

    if (!dataset)
        return FALSE;
    if (dataset->size == size)
        return TRUE;
    if (!*why)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("ZFS claims to have resized volume '%s', but it has %" PRIu64 " bytes"),
                        name, dataset->size);
    g_propagate_error(error, g_steal_pointer(why));
    return FALSE;
}

/* ZFS itself adapts the reservation of a volume that is fully reserved. */
gboolean zfs_vol_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                        GError **error)
{
    g_autoptr(GPtrArray) datasets = NULL;
    const ZfsDataset *dataset = zfs_read_volume(ZFS(state), name, &datasets, error);
    g_autoptr(GError) why = NULL;
    uint64_t size;

    if (!dataset)
        return FALSE;
    if (capacity == 0 || capacity > G_MAXINT64 / 2)
        return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' can't have %" PRIu64 " bytes"),
                        name, capacity);
    size = cst_round_up(capacity, dataset->block);
    if (size == dataset->size)
        return TRUE;
    CST_CRASH_POINT("zfs.resize.before");
    zfs_set_size(ZFS(state), dataset->name, size, task, &why);
    CST_CRASH_POINT("zfs.resize.done");
    return zfs_check_size(ZFS(state), name, size, &why, error);
}
