/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clones. ZFS clones only snapshots, so a clone of the current content of a volume needs a
 * snapshot. It has a hidden name, the name of the draft. When the clone exists, the snapshot is
 * removed "deferred": ZFS keeps it for the clone, and removes it with the clone.
 *
 * If the process is killed before that, the name of the snapshot shows that its maker is dead. The
 * next start removes it, also deferred.
 */
#include "zfs.h"

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/units.h>

gboolean zfs_clone(const ZfsState *state, const char *snapshot, const char *dataset,
                   const GPtrArray *options, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    g_ptr_array_add(argv, (gpointer) "zfs");
    g_ptr_array_add(argv, (gpointer) "clone");
    g_ptr_array_add(argv, (gpointer) "-o");
    g_ptr_array_add(argv, (gpointer)ZFS_VOLMODE);
    for (guint i = 0; options && i < options->len; i++)
        g_ptr_array_add(argv, g_ptr_array_index(options, i));
    g_ptr_array_add(argv, (gpointer)snapshot);
    g_ptr_array_add(argv, (gpointer)dataset);
    g_ptr_array_add(argv, NULL);
    if (!zfs_change_vector(state, argv, NULL, error))
        return FALSE;
    zfs_node_settle(dataset);
    return TRUE;
}

/* Clones a snapshot, with the properties of the definition. */
static gboolean clone_for(const ZfsState *state, const CstVolDef *def, const char *snapshot,
                          const char *dataset, GError **error)
{
    g_autoptr(GPtrArray) options = g_ptr_array_new();
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);

    return zfs_options_add(state, def->options, TRUE, options, texts, error) &&
           zfs_clone(state, snapshot, dataset, options, error);
}

/* Clones the current content of the volume. */
static gboolean clone_now(const ZfsState *state, const CstVolDef *def, const char *source,
                          const char *dataset, GError **error)
{
    const ZfsSnapshot hidden = {.dataset = (char *)source, .name = (char *)zfs_last_of(dataset)};
    g_autofree char *snapshot = g_strdup_printf("%s@%s", hidden.dataset, hidden.name);
    gboolean cloned;

    if (!zfs_change(state, NULL, error, "zfs", "snapshot", snapshot, NULL))
        return FALSE;
    CST_CRASH_POINT("zfs.clone.snapshot");
    cloned = clone_for(state, def, snapshot, dataset, error);
    CST_CRASH_POINT("zfs.clone.cloned");
    /*
     * This is not a failure of the clone: the snapshot is harmless, and the next start tries again.
     */
    if (!zfs_drop_snapshot(state, &hidden, NULL))
        cst_log(CST_LOG_WARNING, "pool '%s': cannot drop snapshot '%s'", state->head.def->name,
                snapshot);
    return cloned;
}

/* Adapts a clone, which has the size of its origin and no reservation at first. */
static gboolean fit_clone(const ZfsState *state, const CstVolDef *def, const ZfsDataset *source,
                          uint64_t size, const char *dataset, GError **error)
{
    if (def->capacity > size &&
        !zfs_set_size(state, dataset, cst_round_up(def->capacity, source->block), NULL, error))
        return FALSE;
    return def->allocation < def->capacity ||
           zfs_change(state, NULL, error, "zfs", "set", "refreservation=auto", dataset, NULL);
}

/* Looks up a snapshot's size. FALSE with NOT_FOUND if it does not exist. */
static gboolean size_of(const char *dataset, const char *volume, const char *name,
                        uint64_t *ret_size, GError **error)
{
    g_autoptr(GPtrArray) snapshots = zfs_read_snapshots(dataset, FALSE, error);
    const ZfsSnapshot *snapshot = snapshots ? zfs_snapshot_named(snapshots, name, NULL) : NULL;

    if (snapshot)
        *ret_size = snapshot->size;
    return snapshot || (snapshots && cst_fail_no_snapshot(volume, name, error));
}

/* On failure an existing draft is left in place; the core calls vol_abandon. */
gboolean zfs_vol_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                               const char *snapshot, CstVolDraft *draft, GError **error)
{
    g_autofree char *dataset = zfs_draft_of(ZFS(state), def->name, draft->token);
    g_autoptr(GPtrArray) datasets = NULL;
    const ZfsDataset *from = zfs_read_volume(ZFS(state), source, &datasets, error);
    uint64_t block = zfs_options_block(def->options), size = from ? from->size : 0;
    g_autofree char *whole =
        snapshot && from ? g_strdup_printf("%s@%s", from->name, snapshot) : NULL;

    if (!from || !zfs_check_def(ZFS(state), def, error))
        return FALSE;
    if (block && block != from->block)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("a clone has the block size of its origin"));
    if (snapshot && !size_of(from->name, source, snapshot, &size, error))
        return FALSE;
    if (def->capacity < size)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("a clone is not smaller than its origin"));
    if (!cst_may_change(error))
        return FALSE;
    if (whole ? !clone_for(ZFS(state), def, whole, dataset, error)
              : !clone_now(ZFS(state), def, from->name, dataset, error))
        return FALSE;
    CST_CRASH_POINT("zfs.clone.made");
    draft->name = g_strdup(zfs_volume_of(ZFS(state), dataset));
    return fit_clone(ZFS(state), def, from, size, dataset, error) &&
           zfs_open_draft(dataset, def, draft, error);
}

/* If the backing store of the definition is a volume of this pool, clones that volume. */
gboolean zfs_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                         GError **error)
{
    g_autofree char *source = NULL;

    if (!def->backing)
        return zfs_reserve_empty(state, def, draft, error);
    source = zfs_vol_resolve(state, def->backing->path);
    if (!source)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("the backing store '%s' is no volume of this pool"), def->backing->path);
    return zfs_vol_reserve_clone(state, def, source, NULL, draft, error);
}

/* --- remains of dead processes ---------------------------------------------------------------- */

/* A failure does not prevent the cleanup of other datasets. */
static void zfs_warn_failure(const CstPoolState *state, GError *why)
{
    if (why)
        cst_log(CST_LOG_WARNING, "pool '%s': %s", state->def->name, why->message);
}

/* Calls @drop for each volume whose name matches @is_one and has a dead maker. */
static void zfs_drop_dead_volumes(CstPoolState *state, const GPtrArray *datasets,
                                  gboolean (*is_one)(const char *name),
                                  gboolean (*drop)(const ZfsState *state, const GPtrArray *datasets,
                                                   const ZfsDataset *dataset, GError **error))
{
    for (guint i = 0; i < datasets->len; i++) {
        const ZfsDataset *dataset = g_ptr_array_index(datasets, i);
        const char *name = zfs_last_of(dataset->name);
        g_autoptr(GError) why = NULL;

        if (dataset->is_volume && is_one(name) && !cst_draft_maker_lives(name))
            drop(ZFS(state), datasets, dataset, &why);
        zfs_warn_failure(state, why);
    }
}

static gboolean drop_half_made(const ZfsState *state, const GPtrArray *datasets,
                               const ZfsDataset *dataset, GError **error)
{
    if (!zfs_drop_draft(state, dataset->name, error))
        return FALSE;
    cst_log(CST_LOG_INFO, "dropped the half-made volume '%s'", dataset->name);
    return TRUE;
}

/*
 * Recovers the swaps first, because this needs their drafts. Removes the snapshots last, when the
 * snapshots of drafts have no dependents any more.
 */
gboolean zfs_drop_drafts(CstPoolState *state, GError **error)
{
    g_autoptr(GPtrArray) datasets = zfs_read_all(ZFS(state), NULL, error);
    g_autoptr(GPtrArray) snapshots = NULL;

    if (!datasets)
        return FALSE;
    zfs_drop_dead_volumes(state, datasets, cst_draft_is_old, zfs_swap_recover);
    zfs_drop_dead_volumes(state, datasets, cst_draft_is, drop_half_made);
    snapshots = zfs_read_snapshots(ZFS(state)->root, TRUE, error);
    for (guint i = 0; snapshots && i < snapshots->len; i++) {
        const ZfsSnapshot *snapshot = g_ptr_array_index(snapshots, i);
        g_autoptr(GError) why = NULL;

        if (cst_draft_is(snapshot->name) && !cst_draft_maker_lives(snapshot->name))
            zfs_drop_snapshot(ZFS(state), snapshot, &why);
        zfs_warn_failure(state, why);
    }
    return snapshots != NULL;
}
