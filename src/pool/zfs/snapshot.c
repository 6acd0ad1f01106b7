/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots are ZFS's own snapshots, made by any program. Only the hidden snapshots of clones are
 * not shown (clone.c).
 *
 * ZFS rolls a volume back only to its newest snapshot. To go further back, it must remove the newer
 * snapshots, and it cannot do so while a clone depends on one of them. So a revert lists them in
 * advance.
 *
 * The record of a snapshot's consistency is the user property ZFS_CONSISTENCY, set in the change
 * that creates the snapshot. ZFS keeps it with a rename, and does not copy it to clones. Root can
 * set it, and users to whom the administrator has delegated "userprop". A snapshot would inherit
 * the property of its volume; report.c accepts no record then.
 *
 * A snapshot has no device of its own, unless the volume's snapdev property makes them visible to
 * the host. It is read through a clone with a hidden name. The clone is removed when the blob is
 * closed or, after a crash, by drop_drafts.
 */
#include "zfs.h"

#include <fcntl.h>
#include <string.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/uuid.h>

/* --- list ------------------------------------------------------------------------------------- */

static gboolean zfs_snapshot_list(CstPoolState *state, const char *volume, GPtrArray *snapshots,
                                  GError **error)
{
    g_auto(ZfsLookup) found = {0};

    if (!zfs_look_up(state, volume, NULL, &found, error))
        return FALSE;
    for (guint i = 0; i < found.snapshots->len; i++) {
        const ZfsSnapshot *from = g_ptr_array_index(found.snapshots, i);
        CstSnapshot *to;

        if (cst_draft_is_hidden(from->name))
            continue;
        to = g_new0(CstSnapshot, 1);
        to->name = g_strdup(from->name);
        to->created = from->created;
        to->capacity = from->size;
        to->allocation = from->used;
        cst_snapshot_read_record(to, from->consistency);
        g_ptr_array_add(snapshots, to);
    }
    return TRUE;
}

static gboolean zfs_snapshot_volumes(CstPoolState *state, GHashTable *names, GError **error)
{
    g_autofree char *prefix = g_strconcat(ZFS(state)->root, "/", NULL);
    g_autoptr(GPtrArray) snapshots = zfs_read_snapshots(ZFS(state)->root, TRUE, error);

    for (guint i = 0; snapshots && i < snapshots->len; i++) {
        const char *dataset = ((const ZfsSnapshot *)snapshots->pdata[i])->dataset;

        if (g_str_has_prefix(dataset, prefix))
            g_hash_table_add(names, g_strdup(dataset + strlen(prefix)));
    }
    return snapshots != NULL;
}

/* --- create, rename, remove ------------------------------------------------------------------- */

/* Fails with EXISTS if a snapshot has that name. */
static gboolean zfs_refuse_snapshot_name(const ZfsLookup *found, const char *volume, GError **error)
{
    return !found->snapshot || cst_fail_snapshot_exists(volume, found->snapshot->name, error);
}

/*
 * Checks the result of a change in which zfs returned @why (NULL: success): snapshot @name must
 * exist (@wanted TRUE) or not exist.
 */
static gboolean check_done(CstPoolState *state, const char *volume, const char *name,
                           gboolean wanted, GError **why, GError **error)
{
    g_auto(ZfsLookup) now = {0};

    if (!zfs_look_up(state, volume, name, &now, error))
        return FALSE;
    if ((now.snapshot != NULL) == wanted)
        return TRUE;
    if (!*why)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'zfs' claims success, but the snapshots of '%s' are as they were"),
                        volume);
    g_propagate_error(error, g_steal_pointer(why));
    return FALSE;
}

static gboolean zfs_snapshot_create(CstPoolState *state, const char *volume, const char *name,
                                    const CstSnapshotCreate *how, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(g_free);
    g_auto(ZfsLookup) found = {0};
    g_autofree char *record = zfs_snapshot_record(how);
    g_autoptr(GError) why = NULL;

    if (!zfs_snapshot_check_how(how, error) || !zfs_snapshot_name_check(name, error) ||
        !zfs_look_up(state, volume, name, &found, error) ||
        !zfs_refuse_snapshot_name(&found, volume, error))
        return FALSE;
    g_ptr_array_add(wanted, zfs_snapshot_of(found.volume, name));
    CST_CRASH_POINT("zfs.snapshot.before");
    zfs_snapshots_make(ZFS(state), wanted, record, task, &why);
    CST_CRASH_POINT("zfs.snapshot.made");
    return check_done(state, volume, name, TRUE, &why, error);
}

/* Returns the full names, "DATASET@NAME", of the requested snapshots. The caller unrefs it. */
static GPtrArray *zfs_snapshot_full_names(const ZfsState *state, const char *const *volumes,
                                          const char *name)
{
    GPtrArray *wanted = g_ptr_array_new_with_free_func(g_free);

    for (; *volumes; volumes++)
        g_ptr_array_add(wanted, g_strdup_printf("%s/%s@%s", state->root, *volumes, name));
    return wanted;
}

/* Counts the existing snapshots of @wanted. *ret_first: the index of the first one. */
static gboolean zfs_count_existing(const ZfsState *state, const GPtrArray *wanted, guint *ret_count,
                                   guint *ret_first, GError **error)
{
    g_autoptr(GPtrArray) snapshots = zfs_read_snapshots(state->root, TRUE, error);
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    *ret_count = 0;
    for (guint i = 0; snapshots && i < snapshots->len; i++) {
        const ZfsSnapshot *snapshot = g_ptr_array_index(snapshots, i);

        g_hash_table_add(names, g_strdup_printf("%s@%s", snapshot->dataset, snapshot->name));
    }
    for (guint i = wanted->len; snapshots && i-- > 0;)
        if (g_hash_table_contains(names, g_ptr_array_index(wanted, i))) {
            *ret_first = i;
            (*ret_count)++;
        }
    return snapshots != NULL;
}

static gboolean check_all_free(CstPoolState *state, const char *const *volumes, const char *name,
                               const GPtrArray *wanted, GError **error)
{
    g_autoptr(GPtrArray) datasets = zfs_read_all(ZFS(state), NULL, error);
    guint count, first = 0;

    if (!datasets)
        return FALSE;
    for (guint i = 0; volumes[i]; i++) {
        g_autofree char *dataset = zfs_dataset_of(ZFS(state), volumes[i]);
        const ZfsDataset *found = zfs_datasets_find(datasets, dataset);

        if (!found || !zfs_is_volume(ZFS(state), found))
            return cst_fail_no_volume(volumes[i], error);
    }
    return zfs_count_existing(ZFS(state), wanted, &count, &first, error) &&
           (count == 0 || cst_fail_snapshot_exists(volumes[first], name, error));
}

static gboolean zfs_snapshots_create(CstPoolState *state, const char *const *volumes,
                                     const char *name, const CstSnapshotCreate *how, CstTask *task,
                                     GError **error)
{
    g_autoptr(GPtrArray) wanted = zfs_snapshot_full_names(ZFS(state), volumes, name);
    g_autofree char *record = zfs_snapshot_record(how);
    g_autoptr(GError) why = NULL;
    guint count, first;

    if (!zfs_snapshot_name_check(name, error) ||
        !check_all_free(state, volumes, name, wanted, error))
        return FALSE;
    CST_CRASH_POINT("zfs.snapshots.before");
    zfs_snapshots_make(ZFS(state), wanted, record, task, &why);
    CST_CRASH_POINT("zfs.snapshots.made");
    if (!zfs_count_existing(ZFS(state), wanted, &count, &first, error))
        return FALSE;
    if (count == wanted->len)
        return TRUE;
    if (!why)
        return cst_fail(error, CST_ERROR_FAILED,
                        _("'zfs snapshot' claims success, but made %u of %u snapshots"), count,
                        wanted->len);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean zfs_snapshot_rename(CstPoolState *state, const char *volume, const char *name,
                                    const char *new_name, GError **error)
{
    g_auto(ZfsLookup) found = {0}, taken = {0};
    g_autofree char *from = NULL, *to = NULL;
    g_autoptr(GError) why = NULL;

    if (!zfs_snapshot_name_check(new_name, error) ||
        !zfs_find_snapshot(state, volume, name, &found, error) ||
        !zfs_look_up(state, volume, new_name, &taken, error) ||
        !zfs_refuse_snapshot_name(&taken, volume, error))
        return FALSE;
    from = zfs_snapshot_of(found.volume, name);
    to = zfs_snapshot_of(found.volume, new_name);
    zfs_change(ZFS(state), NULL, &why, "zfs", "rename", from, to, NULL);
    return check_done(state, volume, new_name, TRUE, &why, error);
}

/* Fails with BUSY, naming it, if the snapshot has a clone. */
static gboolean zfs_refuse_clones(const ZfsSnapshot *snapshot, const char *volume, GError **error)
{
    return !*snapshot->clones ||
           cst_fail(error, CST_ERROR_BUSY, _("snapshot '%s' of volume '%s' has a clone, '%s'"),
                    snapshot->name, volume, *snapshot->clones);
}

static gboolean zfs_snapshot_remove(CstPoolState *state, const char *volume, const char *name,
                                    CstTask *task, GError **error)
{
    g_auto(ZfsLookup) found = {0};
    g_autofree char *whole = NULL;
    g_autoptr(GError) why = NULL;

    if (!zfs_find_snapshot(state, volume, name, &found, error) ||
        !zfs_refuse_clones(found.snapshot, volume, error))
        return FALSE;
    whole = zfs_snapshot_of(found.volume, name);
    if (zfs_program_destroy(ZFS(state), whole, found.snapshot->guid, &why) == ZFS_DONE)
        return TRUE;
    return check_done(state, volume, name, FALSE, &why, error);
}

/* --- revert ----------------------------------------------------------------------------------- */

static gboolean revert_loses(CstPoolState *state, const char *volume, const char *name,
                             GPtrArray *names, GError **error)
{
    g_auto(ZfsLookup) found = {0};

    if (!zfs_find_snapshot(state, volume, name, &found, error))
        return FALSE;
    for (guint i = found.at + 1; i < found.snapshots->len; i++) {
        const ZfsSnapshot *newer = g_ptr_array_index(found.snapshots, i);

        if (!cst_draft_is_hidden(newer->name))
            g_ptr_array_add(names, g_strdup(newer->name));
    }
    return TRUE;
}

/*
 * Whether a revert may remove the snapshot: the user agreed to it, or it is a hidden snapshot of
 * ours.
 */
static gboolean may_go(const ZfsSnapshot *snapshot, const GPtrArray *agreed)
{
    for (guint i = 0; agreed && i < agreed->len; i++)
        if (strcmp(agreed->pdata[i], snapshot->name) == 0)
            return TRUE;
    return cst_draft_is_hidden(snapshot->name);
}

/*
 * A clone of a newer snapshot prevents the rollback, and is never removed for it. The same applies
 * to a newer bookmark, because it may be the base of a further zfs send.
 */
static gboolean refuse_newer(const ZfsSnapshot *newer, const ZfsSnapshot *to, const char *volume,
                             const GPtrArray *agreed, GError **error)
{
    if (*newer->clones)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("'%s' is a clone of content of volume '%s' that is newer than snapshot "
                          "'%s'; flatten it first"),
                        *newer->clones, volume, to->name);
    if (newer->bookmark)
        return cst_fail(error, CST_ERROR_BUSY,
                        _("volume '%s' has a bookmark that is newer than snapshot '%s'; 'zfs "
                          "destroy %s#%s' removes it"),
                        volume, to->name, newer->dataset, newer->name);
    if (cst_draft_is(newer->name) && cst_draft_maker_lives(newer->name))
        return cst_fail(error, CST_ERROR_BUSY, _("volume '%s' is being cloned"), volume);
    return may_go(newer, agreed) ||
           cst_fail(
               error, CST_ERROR_BUSY,
               _("snapshot '%s' of volume '%s' is new, and would be removed; no change was made"),
               newer->name, volume);
}

/*
 * Removes the newer snapshots and rolls back in one step. In this step ZFS verifies that no newer
 * snapshot exists besides the ones found here.
 */
static gboolean zfs_snapshot_revert(CstPoolState *state, const char *volume, const char *name,
                                    const GPtrArray *agreed, CstTask *task, GError **error)
{
    g_auto(ZfsLookup) found = {0};
    g_autoptr(GPtrArray) history = NULL, newer = g_ptr_array_new();
    g_autoptr(GPtrArray) bookmarks = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *path = NULL;

    if (!zfs_find_snapshot(state, volume, name, &found, error))
        return FALSE;
    history = zfs_read_history(found.volume->name, error);
    for (guint i = 0; history && i < history->len; i++) {
        const ZfsSnapshot *other = g_ptr_array_index(history, i);

        if (other->txg > found.snapshot->txg) {
            if (!refuse_newer(other, found.snapshot, volume, agreed, error))
                return FALSE;
            g_ptr_array_add(newer, (gpointer)other);
        } else if (other->bookmark) {
            g_ptr_array_add(bookmarks, g_strdup_printf("%s#%s", other->dataset, other->name));
        }
    }
    if (!history)
        return FALSE;
    path = zfs_device_of(found.volume->name);
    CST_CRASH_POINT("zfs.revert.before");
    /* Checked as late as possible. */
    return cst_device_refuse_held(path, volume, error) &&
           zfs_program_revert(ZFS(state),
                              &(ZfsRevert){.dataset = found.volume,
                                           .snapshot = found.snapshot,
                                           .newer = newer,
                                           .bookmarks = bookmarks},
                              error);
}

/* --- open ------------------------------------------------------------------------------------- */

/* A blob for the clone that shows a snapshot. Closing it removes the clone. */
typedef struct {
    CstBlob head;
    CstBlob *inner;
    CstPoolState *state; /* referenced */
    char *dataset;
} View;

#define VIEW(blob) ((View *)(blob))

static gboolean view_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    return cst_blob_pread(VIEW(blob)->inner, buf, len, offset, error);
}

static gboolean view_get_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    return cst_blob_get_size(VIEW(blob)->inner, ret_size, error);
}

static gboolean view_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                            GError **error)
{
    return cst_blob_extent(VIEW(blob)->inner, offset, length, ret_extent, error);
}

static void view_close(CstBlob *blob)
{
    View *view = VIEW(blob);
    g_autoptr(GError) why = NULL;

    cst_blob_unref(view->inner);
    if (!zfs_destroy_dataset(ZFS(view->state), view->dataset, &why))
        cst_log(CST_LOG_WARNING, "pool '%s': %s", view->state->def->name, why->message);
    cst_pool_state_unref(view->state);
    g_free(view->dataset);
    g_free(view);
}

static const CstBlobOps view_ops = {
    .kind = "zfs snapshot",
    .pread = view_pread,
    .get_size = view_get_size,
    .close = view_close,
    .extent = view_extent,
};

static CstBlob *view_new(CstPoolState *state, const char *dataset, GError **error)
{
    CstBlob *inner = zfs_node_blob(dataset, FALSE, error);
    View *view;

    if (!inner) {
        zfs_destroy_dataset(ZFS(state), dataset, NULL);
        return NULL;
    }
    view = g_new0(View, 1);
    cst_blob_init(&view->head, &view_ops, zfs_last_of(dataset), FALSE);
    view->inner = inner;
    view->state = cst_pool_state_ref(state);
    view->dataset = g_strdup(dataset);
    return &view->head;
}

static CstBlob *zfs_snapshot_open(CstPoolState *state, const char *volume, const char *name,
                                  GError **error)
{
    g_auto(ZfsLookup) found = {0};
    g_autofree char *whole = NULL, *dataset = NULL;
    char token[CST_UUID_TEXT_LEN];
    CstUuid uuid;

    if (!zfs_find_snapshot(state, volume, name, &found, error))
        return NULL;
    cst_uuid_generate(&uuid);
    whole = zfs_snapshot_of(found.volume, name);
    dataset = zfs_draft_of(ZFS(state), volume, cst_uuid_format(&uuid, token));
    if (!zfs_clone(ZFS(state), whole, dataset, NULL, error)) {
        /* A tool that was killed may have created the clone. */
        zfs_destroy_dataset(ZFS(state), dataset, NULL);
        return NULL;
    }
    CST_CRASH_POINT("zfs.view.made");
    return view_new(state, dataset, error);
}

const CstSnapshotBackend zfs_snapshots = {
    .of_drafts = TRUE,
    .list = zfs_snapshot_list,
    .volumes = zfs_snapshot_volumes,
    .create = zfs_snapshot_create,
    .create_many = zfs_snapshots_create,
    .plan_begin = zfs_plan_begin,
    .plan_rehearse = zfs_plan_rehearse,
    .plan_make = zfs_plan_make,
    .plan_commit = zfs_plan_commit,
    .plan_end = zfs_plan_end,
    .revert_loses = revert_loses,
    .revert = zfs_snapshot_revert,
    .remove = zfs_snapshot_remove,
    .rename = zfs_snapshot_rename,
    .open = zfs_snapshot_open,
    .changed = zfs_snapshot_changed,
};
