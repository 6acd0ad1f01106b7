/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading and changing datasets. Each report also has the pool's own dataset, by whose guid it is
 * known that it is still the one that the pool was started with; so that costs nothing more. A
 * change is believed when a report, or the device itself, shows it.
 */
#include "zfs.h"

#include <string.h>

#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>

/* --- reading ---------------------------------------------------------------------------------- */

gboolean zfs_is_imported(const ZfsState *state)
{
    g_autofree char *path = g_build_filename(zfs_host.kstat, state->pool, NULL);
    struct stat st;

    return cst_node_stat(path, &st) && S_ISDIR(st.st_mode);
}

char *zfs_kernel_state(const char *pool)
{
    g_autofree char *path = g_build_filename(zfs_host.kstat, pool, "state", NULL);
    char *text = cst_kernel_read(path);

    return text ? g_strchomp(text) : NULL;
}

static gboolean fail_not_found(const ZfsState *state, GError **error)
{
    if (!zfs_is_imported(state))
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("there is no ZFS pool '%s'; 'zpool import %s' imports one that was "
                          "exported"),
                        state->pool, state->pool);
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("there is no ZFS dataset '%s'"), state->root);
}

/* Takes @datasets (NULL: none) over and returns it when its root is the one that is meant. */
static GPtrArray *expected(const ZfsState *state, GPtrArray *datasets, GError **error)
{
    g_autoptr(GPtrArray) owned = datasets;
    const ZfsDataset *root = datasets ? zfs_datasets_find(datasets, state->root) : NULL;

    if (!datasets)
        return NULL;
    if (!root) {
        fail_not_found(state, error);
        return NULL;
    }
    if (state->root_guid && strcmp(root->guid, state->root_guid) != 0) {
        cst_fail(error, CST_ERROR_STATE,
                 _("the ZFS dataset '%s' is not the one that the pool was started with; restart "
                   "the pool to accept this one"),
                 state->root);
        return NULL;
    }
    return g_steal_pointer(&owned);
}

/*
 * Runs zfs list. What it names and can't find is missing in its report; the others are there all
 * the same.
 */
static GPtrArray *list(const ZfsState *state, const char *const *argv, CstTask *task,
                       GError **error)
{
    g_autofree char *out = NULL;
    GError *why = NULL;

    if (!zfs_report(argv, task, &out, &why)) {
        if (!out || !g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND)) {
            g_propagate_error(error, why);
            return NULL;
        }
        g_clear_error(&why);
    }
    return expected(state, zfs_datasets_parse(out, error), error);
}

static const char fields[] = ZFS_DATASET_FIELDS;

#define LIST_DATASETS "zfs", "list", "-H", "-p", "-t", "filesystem,volume", "-o", fields

GPtrArray *zfs_read(const ZfsState *state, const char *const *names, GError **error)
{
    static const char *const begin[] = {LIST_DATASETS};
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    for (size_t i = 0; i < G_N_ELEMENTS(begin); i++)
        g_ptr_array_add(argv, (gpointer)begin[i]);
    g_ptr_array_add(argv, (gpointer)state->root);
    for (; names && *names; names++)
        g_ptr_array_add(argv, (gpointer)*names);
    g_ptr_array_add(argv, NULL);
    return list(state, (const char *const *)argv->pdata, NULL, error);
}

GPtrArray *zfs_read_all(const ZfsState *state, CstTask *task, GError **error)
{
    const char *const argv[] = {LIST_DATASETS, "-r", state->root, NULL};

    return list(state, argv, task, error);
}

const ZfsDataset *zfs_read_volume(const ZfsState *state, const char *name, GPtrArray **ret_datasets,
                                  GError **error)
{
    g_autofree char *dataset = zfs_dataset_of(state, name);
    const char *const names[] = {dataset, NULL};
    g_autoptr(GPtrArray) datasets = zfs_read(state, names, error);
    const ZfsDataset *found = datasets ? zfs_datasets_find(datasets, dataset) : NULL;

    if (!datasets)
        return NULL;
    if (!found || !zfs_is_shown(state, found)) {
        cst_fail_no_volume(name, error);
        return NULL;
    }
    *ret_datasets = g_steal_pointer(&datasets);
    return found;
}

GPtrArray *zfs_read_snapshots(const char *dataset, gboolean all, GError **error)
{
    const char *const argv[] = {"zfs",
                                "list",
                                "-H",
                                "-p",
                                "-t",
                                "snapshot",
                                "-o",
                                ZFS_SNAPSHOT_FIELDS,
                                "-s",
                                "createtxg",
                                all ? "-r" : "-d1",
                                dataset,
                                NULL};
    g_autofree char *out = NULL;

    return zfs_report(argv, NULL, &out, error) ? zfs_snapshots_parse(out, error) : NULL;
}

ZfsPool *zfs_read_pool(const ZfsState *state, GError **error)
{
    const char *const argv[] = {"zpool", "list",          "-H",        "-p",
                                "-o",    ZFS_POOL_FIELDS, state->pool, NULL};
    g_autofree char *out = NULL;
    g_autoptr(ZfsPool) pool = NULL;
    GError *why = NULL;

    if (!zfs_report(argv, NULL, &out, &why)) {
        if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND) && !zfs_is_imported(state)) {
            g_clear_error(&why);
            fail_not_found(state, &why);
        }
        g_propagate_error(error, why);
        return NULL;
    }
    pool = zfs_pool_parse(out, error);
    if (pool && state->pool_guid && strcmp(pool->guid, state->pool_guid) != 0) {
        cst_fail(error, CST_ERROR_STATE,
                 _("the ZFS pool '%s' is not the one that the pool was started with; restart the "
                   "pool to accept this one"),
                 state->pool);
        return NULL;
    }
    return g_steal_pointer(&pool);
}

/* --- changing --------------------------------------------------------------------------------- */

/*
 * Ends a change: TRUE when it is @done by what is there now; else with zfs's own reason @why, or,
 * where it claims success, with @claim.
 */
static gboolean judge(gboolean done, GError **why, const char *claim, const char *dataset,
                      GError **error)
{
    if (done)
        return TRUE;
    if (!*why)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'zfs %s' claims success, but '%s' is as it was"), claim, dataset);
    g_propagate_error(error, g_steal_pointer(why));
    return FALSE;
}

gboolean zfs_destroy_dataset(const ZfsState *state, const char *dataset, GError **error)
{
    const char *const names[] = {dataset, NULL};
    g_autoptr(GPtrArray) left = NULL;
    g_autoptr(GError) why = NULL;

    zfs_change_idle(&why, "zfs", "destroy", dataset, NULL);
    left = zfs_read(state, names, error);
    return left && judge(!zfs_datasets_find(left, dataset), &why, "destroy", dataset, error);
}

/* The device that says to be of the new name proves the rename without a report. */
gboolean zfs_rename_dataset(const ZfsState *state, const char *from, const char *to, GError **error)
{
    const char *const names[] = {from, to, NULL};
    g_autoptr(GPtrArray) left = NULL;
    g_autoptr(GError) why = NULL;

    if (zfs_change_idle(&why, "zfs", "rename", from, to, NULL) && zfs_node_comes(to))
        return TRUE;
    left = zfs_read(state, names, error);
    return left && judge(zfs_datasets_find(left, to) && !zfs_datasets_find(left, from), &why,
                         "rename", from, error);
}

gboolean zfs_drop_snapshot(const ZfsSnapshot *snapshot, GError **error)
{
    g_autofree char *whole = g_strdup_printf("%s@%s", snapshot->dataset, snapshot->name);

    return zfs_change_idle(error, "zfs", "destroy", "-d", whole, NULL);
}
