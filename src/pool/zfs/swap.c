/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A volume replaces another volume under its name, in steps that a crash may interrupt at any
 * point:
 *
 * - the draft was created with the mark ZFS_REPLACES, which has the future hidden name of the old
 *   volume, and the volume's name;
 * - the old volume is renamed to the hidden name, so that for a short time no volume has the name;
 * - the draft is renamed to the name;
 * - the old volume is removed.
 *
 * A process that has the old volume open would keep writing to a removed volume. So the old volume
 * must not be open. This is checked before the first step, and again after it was renamed, because
 * it cannot be opened by its name any more. If it is open then, it gets its name back.
 *
 * If the next start finds an old volume, it searches for the mark with its name. If a draft has the
 * mark, the old volume gets its name back. If the volume of the name has the mark, the old volume
 * is removed. An old volume without a mark is kept, and a draft is not dropped before its old
 * volume is gone.
 */
#include "zfs.h"

#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>

/* Returns the dataset name of the old volume that @draft replaces. The caller frees it. */
static char *old_of(const char *draft)
{
    g_autofree char *parent = zfs_parent_of(draft);
    g_autofree char *old = cst_draft_old_name(zfs_last_of(draft));

    return g_strdup_printf("%s/%s", parent, old);
}

char *zfs_swap_mark(const char *draft, const char *name)
{
    g_autofree char *old = cst_draft_old_name(zfs_last_of(draft));

    return g_strdup_printf(ZFS_REPLACES "=%s/%s", old, name);
}

gboolean zfs_swap_in(const ZfsState *state, const char *name, const char *draft, GError **error)
{
    g_autofree char *dataset = zfs_dataset_of(state, name);
    g_autofree char *old = old_of(draft);
    g_autofree char *path = zfs_device_of(dataset), *old_path = zfs_device_of(old);
    g_autoptr(GError) why = NULL;
    struct stat owner;

    /* Before any change: without a node the holders of a volume cannot be determined. */
    if (!cst_node_stat(path, &owner))
        return cst_fail(error, CST_ERROR_STATE, _("device '%s' is not there"), path);
    if (!cst_device_refuse_held(path, name, error) ||
        !zfs_rename_dataset(state, dataset, old, error))
        return FALSE;
    CST_CRASH_POINT("zfs.swap.aside");
    if (!cst_device_refuse_held(old_path, name, error) ||
        !zfs_rename_dataset(state, draft, dataset, error)) {
        CST_TEST_POINT("zfs.swap.undo");
        zfs_rename_dataset(state, old, dataset, NULL);
        return FALSE;
    }
    CST_CRASH_POINT("zfs.swap.in");
    cst_device_copy_owner(&owner, path);
    /* The volume is replaced, so this is not a failure; the next start tries again. */
    if (!zfs_destroy_dataset(state, old, &why))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", state->head.def->name, why->message);
    return TRUE;
}

/*
 * Returns the dataset with a mark for @old, and the volume's name in *ret_name; NULL if no dataset
 * has such a mark.
 */
static const ZfsDataset *successor_of(const GPtrArray *datasets, const ZfsDataset *old,
                                      const char **ret_name)
{
    const char *last = zfs_last_of(old->name);
    size_t len = strlen(last);

    for (guint i = 0; i < datasets->len; i++) {
        const ZfsDataset *dataset = g_ptr_array_index(datasets, i);

        if (dataset->replaces && strncmp(dataset->replaces, last, len) == 0 &&
            dataset->replaces[len] == '/') {
            *ret_name = dataset->replaces + len + 1;
            return dataset;
        }
    }
    return NULL;
}

/* The mark is ours, but any user with access to ZFS can change it, so the name is checked. */
gboolean zfs_swap_recover(const ZfsState *state, const GPtrArray *datasets, const ZfsDataset *old,
                          GError **error)
{
    const char *name = NULL;
    const ZfsDataset *successor = successor_of(datasets, old, &name);
    g_autofree char *dataset = NULL;

    if (!successor || !zfs_name_check(state, name, NULL))
        return cst_fail(
            error, CST_ERROR_STATE,
            _("'%s' was a volume, and its name is unknown; rename it with 'zfs rename'"),
            old->name);
    dataset = zfs_dataset_of(state, name);
    if (strcmp(successor->name, dataset) == 0)
        return zfs_destroy_dataset(state, old->name, error);
    return zfs_rename_dataset(state, old->name, dataset, error);
}

/*
 * The snapshots of a draft have no dependents. If another process has dropped the draft, the call
 * succeeds.
 */
static gboolean zfs_drop_draft_snapshots(const ZfsState *state, const char *draft, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) snapshots = zfs_read_snapshots(draft, FALSE, &why);

    if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        return TRUE;
    if (why)
        g_propagate_error(error, g_steal_pointer(&why));
    for (guint i = 0; snapshots && i < snapshots->len; i++)
        if (!zfs_drop_snapshot(state, g_ptr_array_index(snapshots, i), error))
            return FALSE;
    return snapshots != NULL;
}

gboolean zfs_drop_draft(const ZfsState *state, const char *draft, GError **error)
{
    g_autofree char *old = old_of(draft);
    const char *const names[] = {old, NULL};
    g_autoptr(GPtrArray) datasets = zfs_read(state, names, error);

    if (!datasets)
        return FALSE;
    if (zfs_datasets_find(datasets, old))
        return cst_fail(error, CST_ERROR_STATE,
                        _("the volume that '%s' was to replace has not got its name back yet"),
                        draft);
    return zfs_drop_draft_snapshots(state, draft, error) &&
           zfs_destroy_dataset(state, draft, error);
}
