/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New volumes, and opening volumes. A draft is a zvol with a hidden name in the dataset of its
 * volume; zfs rename makes it the volume in one step. A process killed before that leaves a draft,
 * which is removed by its token or at the pool's next start. After that the volume exists.
 */
#include "zfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/file.h>
#include <base/i18n.h>
#include <base/log.h>

CstBlob *zfs_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error)
{
    g_autoptr(GPtrArray) datasets = NULL;
    /* For writing the cached report is not sufficient. */
    const ZfsDataset *dataset = writable ? zfs_read_volume(ZFS(state), name, &datasets, error)
                                         : zfs_look_volume(ZFS(state), name, &datasets, error);

    if (!dataset)
        return NULL;
    if (dataset->locked) {
        cst_fail(error, CST_ERROR_STATE, _("the key of ZFS dataset '%s' is not loaded"),
                 dataset->encryption_root);
        return NULL;
    }
    return zfs_node_blob(dataset->name, writable, error);
}

/* --- making ----------------------------------------------------------------------------------- */

gboolean zfs_check_parent(const ZfsState *state, const char *name, GError **error)
{
    g_autofree char *dataset = zfs_dataset_of(state, name);
    g_autofree char *parent = zfs_parent_of(dataset);
    g_autoptr(GPtrArray) datasets = NULL;
    const ZfsDataset *found;

    /* The pool's own dataset always exists; otherwise zfs create reports it. */
    if (strcmp(parent, state->root) == 0)
        return zfs_prove(state, error);
    found = zfs_look(state, parent, &datasets, error);
    if (!datasets)
        return FALSE;
    if (!found)
        return cst_fail(error, CST_ERROR_NOT_FOUND,
                        _("there is no ZFS dataset '%s'; 'zfs create %s' makes one"), parent,
                        parent);
    return !found->is_volume || cst_fail(error, CST_ERROR_INVALID,
                                         _("'%s' is a volume, and cannot have children"), parent);
}

gboolean zfs_check_def(const ZfsState *state, const CstVolDef *def, GError **error)
{
    if (def->encryption)
        return cst_fail(error, CST_ERROR_CONFIG,
                        _("storage pool does not support encrypted volumes; volumes of an "
                          "encrypted ZFS dataset are always encrypted"));
    if (def->capacity == 0 || def->capacity > G_MAXINT64 / 2)
        return cst_fail(error, CST_ERROR_INVALID, _("volume '%s' can't have %" PRIu64 " bytes"),
                        def->name, def->capacity);
    return zfs_name_check(state, def->name, error) && zfs_check_parent(state, def->name, error);
}

/*
 * As in libvirt: a volume whose allocation is its capacity is fully reserved. Any other volume is
 * sparse, and its allocation is reserved. ZFS rounds the size up to its blocks.
 */
gboolean zfs_make_volume(const ZfsState *state, const CstVolDef *def, const char *dataset,
                         const char *mark, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *size = g_strdup_printf("%" PRIu64, def->capacity);
    g_autofree char *reserved = zfs_size("refreservation", def->allocation);

    for (const char *const *word = (const char *[]){"zfs", "create", "-o", ZFS_VOLMODE, NULL};
         *word; word++)
        g_ptr_array_add(argv, (gpointer)*word);
    if (def->allocation < def->capacity)
        g_ptr_array_add(argv, (gpointer) "-s");
    if (def->allocation < def->capacity && def->allocation > 0) {
        g_ptr_array_add(argv, (gpointer) "-o");
        g_ptr_array_add(argv, reserved);
    }
    if (mark) {
        g_ptr_array_add(argv, (gpointer) "-o");
        g_ptr_array_add(argv, (gpointer)mark);
    }
    if (!zfs_options_add(state, def->options, FALSE, argv, texts, error))
        return FALSE;
    g_ptr_array_add(argv, (gpointer) "-V");
    g_ptr_array_add(argv, size);
    g_ptr_array_add(argv, (gpointer)dataset);
    g_ptr_array_add(argv, NULL);
    if (!zfs_change_vector(state, argv, NULL, error))
        return FALSE;
    zfs_node_settle(dataset);
    return TRUE;
}

gboolean zfs_open_draft(const char *dataset, const CstVolDef *def, CstVolDraft *draft,
                        GError **error)
{
    g_autoptr(CstBlob) blob = zfs_node_blob(dataset, TRUE, error);
    uint64_t size = 0;

    if (!blob || !cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (size < def->capacity)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("ZFS made volume '%s' smaller (%" PRIu64 " bytes) than it was asked to"),
                        def->name, size);
    if (fchmod(cst_blob_file_fd(blob), 0600) < 0)
        return cst_fail_errno(error, errno, _("cannot set mode of '%s' to %04o"), dataset, 0600);
    draft->blob = g_steal_pointer(&blob);
    return TRUE;
}

/* On failure an existing draft is left in place; the core calls vol_abandon. */
gboolean zfs_reserve_empty(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                           GError **error)
{
    g_autofree char *dataset = zfs_draft_of(ZFS(state), def->name, draft->token);

    if (!zfs_check_def(ZFS(state), def, error) || !cst_may_change(error) ||
        !zfs_make_volume(ZFS(state), def, dataset, NULL, error))
        return FALSE;
    CST_CRASH_POINT("zfs.reserve.created");
    draft->name = g_strdup(zfs_volume_of(ZFS(state), dataset));
    draft->zeroed = TRUE;
    return zfs_open_draft(dataset, def, draft, error);
}

/* Sets the owner. A failure is only logged, because the volume exists. */
static void zfs_set_owner(const CstPoolState *state, int fd, const CstVolDef *def)
{
    g_autoptr(GError) why = NULL;

    if (fd < 0 || !cst_device_settle_owner(fd, def, &why))
        cst_log(CST_LOG_WARNING, "pool '%s': cannot set the owner of volume '%s'%s%s",
                state->def->name, def->name, why ? ": " : "", why ? why->message : "");
}

/* Whether the volume exists after a zfs create that returned @why (NULL: success). */
static gboolean zfs_check_created(const ZfsState *state, const char *dataset, GError **why,
                                  GError **error)
{
    const char *const names[] = {dataset, NULL};
    g_autoptr(GPtrArray) datasets = zfs_read(state, names, error);

    if (!datasets || zfs_datasets_find(datasets, dataset))
        return datasets != NULL;
    if (!*why)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'zfs create' claims success, but there is no '%s'"), dataset);
    g_propagate_error(error, g_steal_pointer(why));
    return FALSE;
}

/* A zfs create is atomic. If the volume exists, it was created, even if the tool failed. */
gboolean zfs_vol_make(CstPoolState *state, const CstVolDef *def, GError **error)
{
    g_autofree char *dataset = zfs_dataset_of(ZFS(state), def->name);
    g_autoptr(GError) why = NULL;
    g_auto(CstFd) fd = -1;

    if (def->backing)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("a clone is not made in one step"));
    if (!zfs_check_def(ZFS(state), def, error) || !cst_may_change(error))
        return FALSE;
    CST_CRASH_POINT("zfs.make.before");
    if (zfs_make_volume(ZFS(state), def, dataset, NULL, &why))
        fd = zfs_node_open(dataset, O_RDONLY, NULL);
    CST_CRASH_POINT("zfs.make.made");
    if (g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS))
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
    /* An open device verifies the creation without a report. */
    if (fd < 0 && !zfs_check_created(ZFS(state), dataset, &why, error))
        return FALSE;
    zfs_set_owner(state, fd, def);
    return TRUE;
}

/* --- commit and abandon ----------------------------------------------------------------------- */

/* The rename is the commit. */
gboolean zfs_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                        GError **error)
{
    g_autofree char *from = zfs_draft_of(ZFS(state), def->name, draft->token);
    g_autofree char *to = zfs_dataset_of(ZFS(state), def->name);
    GError *why = NULL;

    if (!cst_blob_flush(draft->blob, error))
        return FALSE;
    CST_CRASH_POINT("zfs.commit.synced");
    if (!zfs_rename_dataset(ZFS(state), from, to, &why)) {
        if (g_error_matches(why, CST_ERROR, CST_ERROR_EXISTS)) {
            g_clear_error(&why);
            return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
        }
        g_propagate_error(error, why);
        return FALSE;
    }
    CST_CRASH_POINT("zfs.commit.renamed");
    zfs_set_owner(state, cst_blob_file_fd(draft->blob), def);
    return TRUE;
}

/* The snapshot that a clone's draft depends on has the draft's name, and is removed with it. */
gboolean zfs_vol_abandon(CstPoolState *state, const char *token, GError **error)
{
    g_autoptr(GPtrArray) datasets = NULL, snapshots = NULL;

    CST_TEST_POINT("zfs.abandon");
    datasets = zfs_read_all(ZFS(state), NULL, error);
    for (guint i = 0; datasets && i < datasets->len; i++) {
        const ZfsDataset *dataset = g_ptr_array_index(datasets, i);

        if (dataset->is_volume && cst_draft_is_of(zfs_last_of(dataset->name), token) &&
            !zfs_drop_draft(ZFS(state), dataset->name, error))
            return FALSE;
    }
    snapshots = datasets ? zfs_read_snapshots(ZFS(state)->root, TRUE, error) : NULL;
    for (guint i = 0; snapshots && i < snapshots->len; i++) {
        const ZfsSnapshot *snapshot = g_ptr_array_index(snapshots, i);

        if (cst_draft_is_of(snapshot->name, token) &&
            !zfs_drop_snapshot(ZFS(state), snapshot, error))
            return FALSE;
    }
    return snapshots != NULL;
}
