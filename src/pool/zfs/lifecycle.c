/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The dataset of a pool: created (with a ZFS pool on empty devices, or in an existing ZFS pool),
 * started, removed. Messages and rules are libvirt's where scripts may depend on them.
 *
 * A ZFS pool is imported for the whole host, with unrelated file systems. So a start does not
 * import it, and a stop does not export it; the host does both (zfs-import.service). A start loads
 * the key of an encrypted dataset, from the secret of the definition.
 */
#include "zfs.h"

#include <string.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>

#define LOOK_AGAIN_US (500 * G_TIME_SPAN_MILLISECOND)

/* --- check ------------------------------------------------------------------------------------ */

/*
 * Whether the kernel has suspended a ZFS pool. Calls to it hang then. Reads the kernel's
 * statistics.
 */
static gboolean is_suspended(const char *pool)
{
    g_autofree char *state = zfs_kernel_state(pool);

    return g_strcmp0(state, ZFS_SUSPENDED) == 0;
}

/*
 * A ZFS pool that has lost its devices waits for them, and so does each access to it. zfs_health()
 * reports other problems.
 */
gboolean zfs_touch(const CstPoolDef *def, GError **error)
{
    g_autofree char *pool = g_strndup(def->source.name, strcspn(def->source.name, "/"));

    while (is_suspended(pool)) {
        CST_TEST_POINT("zfs.touch.suspended");
        g_usleep(LOOK_AGAIN_US);
    }
    return TRUE;
}

/* A suspended ZFS pool is active, and its datasets are not read. */
gboolean zfs_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    g_autoptr(GPtrArray) datasets = NULL;
    g_autoptr(GError) why = NULL;

    *ret_active = zfs_is_imported(ZFS(state));
    if (!*ret_active || is_suspended(ZFS(state)->pool))
        return TRUE;
    datasets = zfs_read(ZFS(state), NULL, &why);
    if (why)
        cst_log(CST_LOG_INFO, "pool '%s': %s", state->def->name, why->message);
    *ret_active = datasets != NULL;
    return TRUE;
}

/* --- start ------------------------------------------------------------------------------------ */

static gboolean change_with(const ZfsState *state, const char *const *argv,
                            const CstSecretBytes *key, GError **error)
{
    gboolean done = zfs_change_with(argv, key->data, key->len, NULL, error);

    zfs_cache_changed(state->cache);
    return done;
}

/* Runs @argv with the key as its input. */
static gboolean run_with_key(CstPoolState *state, const char *const *argv, GError **error)
{
    const CstAuth auth = {.by_uuid = TRUE, .secret_uuid = ZFS(state)->key};
    g_auto(CstSecretBytes) key = {0};

    if (!state->host || !state->host->secret)
        return cst_fail(error, CST_ERROR_NO_SECRET, _("there are no secrets here"));
    return state->host->secret(&auth, &key, state->host->data, error) &&
           change_with(ZFS(state), argv, &key, error);
}

static gboolean zfs_load_key(CstPoolState *state, const ZfsDataset *root, GError **error)
{
    const char *const argv[] = {"zfs", "load-key", "-L", "prompt", root->encryption_root, NULL};
    g_autoptr(GPtrArray) datasets = NULL;

    if (!root->encryption_root || !run_with_key(state, argv, error))
        return FALSE;
    datasets = zfs_read(ZFS(state), NULL, error);
    if (!datasets)
        return FALSE;
    return !zfs_datasets_find(datasets, root->name)->locked ||
           cst_fail(error, CST_ERROR_FAILED,
                    _("'zfs load-key' claims success, but the key of '%s' is not loaded"),
                    root->name);
}

gboolean zfs_start(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) datasets = zfs_read(ZFS(state), NULL, error);
    const ZfsDataset *root = datasets ? zfs_datasets_find(datasets, ZFS(state)->root) : NULL;

    if (!root || !cst_may_change(error))
        return FALSE;
    return !root->locked || !ZFS(state)->has_key || zfs_load_key(state, root, error);
}

/* --- build ------------------------------------------------------------------------------------ */

/* Borrowed from the definition. */
static const char *zfs_device_path(const CstPoolState *state, guint i)
{
    return ((const CstPoolDevice *)g_ptr_array_index(state->def->source.devices, i))->path;
}

static gboolean lies_in_dataset(const ZfsState *state)
{
    return strchr(state->root, '/') != NULL;
}

/* libvirt accepts no flags here. */
static gboolean check_build(CstPoolState *state, unsigned flags, GError **error)
{
    if (!cst_flags_check(flags, CST_POOL_BUILD_OVERWRITE | CST_POOL_BUILD_NO_OVERWRITE,
                         "virStorageBackendZFSBuildPool", error) ||
        !cst_flags_exclusive(flags, CST_POOL_BUILD_OVERWRITE, "VIR_STORAGE_POOL_BUILD_OVERWRITE",
                             CST_POOL_BUILD_NO_OVERWRITE, "VIR_STORAGE_POOL_BUILD_NO_OVERWRITE",
                             error))
        return FALSE;
    if (!lies_in_dataset(ZFS(state)) && state->def->source.devices->len == 0)
        return cst_fail(error, CST_ERROR_CONFIG, _("missing source devices"));
    return TRUE;
}

/*
 * An existing dataset is used, and never created anew. An error other than NOT_FOUND is returned.
 */
static gboolean zfs_refuse_existing(const ZfsState *state, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) datasets = zfs_read(state, NULL, &why);

    if (datasets)
        return cst_fail(error, CST_ERROR_POOL_BUILT,
                        _("ZFS dataset '%s' exists already; start the pool to use it"),
                        state->root);
    if (g_error_matches(why, CST_ERROR, CST_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Without the overwrite flag, a device with any content is refused. */
static gboolean zfs_check_devices(const CstPoolState *state, unsigned flags, GError **error)
{
    for (guint i = 0; i < state->def->source.devices->len; i++) {
        const char *path = zfs_device_path(state, i);

        if (!cst_device_refuse_used(path, error) ||
            (!(flags & CST_POOL_BUILD_OVERWRITE) && !cst_device_refuse_content(path, NULL, error)))
            return FALSE;
    }
    return TRUE;
}

/* Appends words to a vector, which borrows them. */
static void add_words(GPtrArray *argv, const char *const *words)
{
    for (; *words; words++)
        g_ptr_array_add(argv, (gpointer)*words);
}

/* Ends @argv and runs it, with the pool's key as input if the pool has one. */
static gboolean run_vector(CstPoolState *state, GPtrArray *argv, GError **error)
{
    g_ptr_array_add(argv, NULL);
    if (ZFS(state)->has_key)
        return run_with_key(state, (const char *const *)argv->pdata, error);
    return zfs_change_vector(ZFS(state), argv, NULL, error);
}

static gboolean make_dataset(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    add_words(argv,
              (const char *[]){"zfs", "create", "-o", "mountpoint=none", "-o", ZFS_VOLMODE, NULL});
    if (ZFS(state)->has_key)
        add_words(argv, (const char *[]){"-o", "encryption=on", "-o", "keyformat=passphrase", "-o",
                                         "keylocation=prompt", NULL});
    g_ptr_array_add(argv, (gpointer)ZFS(state)->root);
    return run_vector(state, argv, error);
}

/* "-f" is also needed for old labels of ZFS, which are detected only in the new partitions. */
static gboolean make_pool(CstPoolState *state, unsigned flags, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    for (guint i = 0; i < state->def->source.devices->len; i++)
        if (!cst_device_clear(zfs_device_path(state, i), error))
            return FALSE;
    CST_CRASH_POINT("zfs.build.cleared");
    add_words(argv, (const char *[]){"zpool", "create", "-m", "none", "-O", ZFS_VOLMODE, NULL});
    if (flags & CST_POOL_BUILD_OVERWRITE)
        g_ptr_array_add(argv, (gpointer) "-f");
    if (ZFS(state)->has_key)
        add_words(argv, (const char *[]){"-O", "encryption=on", "-O", "keyformat=passphrase", "-O",
                                         "keylocation=prompt", NULL});
    g_ptr_array_add(argv, (gpointer)ZFS(state)->root);
    for (guint i = 0; i < state->def->source.devices->len; i++)
        g_ptr_array_add(argv, (gpointer)zfs_device_path(state, i));
    return run_vector(state, argv, error);
}

gboolean zfs_build(CstPoolState *state, unsigned flags, GError **error)
{
    gboolean inside = lies_in_dataset(ZFS(state));
    g_autoptr(GPtrArray) datasets = NULL;
    g_autoptr(GError) why = NULL;

    if (!check_build(state, flags, error) || !zfs_refuse_existing(ZFS(state), error) ||
        (!inside && !zfs_check_devices(state, flags, error)) || !cst_may_change(error))
        return FALSE;
    if (inside)
        make_dataset(state, &why);
    else
        make_pool(state, flags, &why);
    /* An existing dataset is a success even if the tool failed, because it did not exist before. */
    datasets = zfs_read(ZFS(state), NULL, why ? NULL : error);
    if (!datasets && why)
        g_propagate_error(error, g_steal_pointer(&why));
    return datasets != NULL;
}

/* --- delete ----------------------------------------------------------------------------------- */

/*
 * ZFS would remove all datasets and their snapshots, including datasets that volume lists do not
 * show. So no dataset and no snapshot may exist.
 */
static gboolean refuse_content(const ZfsState *state, GError **error)
{
    g_autoptr(GPtrArray) datasets = zfs_read_all(state, NULL, error);
    g_autoptr(GPtrArray) snapshots = datasets ? zfs_read_snapshots(state->root, TRUE, error) : NULL;

    if (!snapshots)
        return FALSE;
    if (datasets->len > 1)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("ZFS dataset '%s' would be removed with all that it holds: '%s'"),
                        state->root, ((const ZfsDataset *)g_ptr_array_index(datasets, 1))->name);
    return snapshots->len == 0 ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("ZFS dataset '%s' has a snapshot, '%s', which would be removed with it"),
                    state->root, ((const ZfsSnapshot *)g_ptr_array_index(snapshots, 0))->name);
}

/* TRUE if the dataset is removed. FALSE with an error if it exists, or if ZFS fails. */
static gboolean zfs_dataset_is_gone(const ZfsState *state, GError **why, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(GPtrArray) left = zfs_read(state, NULL, &missing);

    if (g_error_matches(missing, CST_ERROR, CST_ERROR_NOT_FOUND))
        return TRUE;
    if (*why)
        g_propagate_error(error, g_steal_pointer(why));
    else if (missing)
        g_propagate_error(error, g_steal_pointer(&missing));
    else
        cst_fail(error, CST_ERROR_FAILED, _("'zfs %s' claims success, but '%s' is as it was"),
                 "destroy", state->root);
    return FALSE;
}

gboolean zfs_destroy(CstPoolState *state, unsigned flags, GError **error)
{
    const ZfsState *zfs = ZFS(state);
    g_autoptr(GError) why = NULL;

    if (!cst_flags_check(flags, 0, "virStorageBackendZFSDeletePool", error) ||
        !refuse_content(zfs, error) || !cst_may_change(error))
        return FALSE;
    zfs_change_idle(zfs, &why, lies_in_dataset(zfs) ? "zfs" : "zpool", "destroy", zfs->root, NULL);
    return zfs_dataset_is_gone(zfs, &why, error);
}
