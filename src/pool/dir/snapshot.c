/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots of files on a file system that shares extents. TARGET/.cistern-snapshots/VOLUME/NAME is
 * a reflink copy of the whole file, with its record in an extended attribute (copy.c). No other
 * record of a snapshot exists. snapshot_draft.c creates snapshots.
 *
 * revert: copy to a draft in the target, sync, rename over the volume's file, sync the directory. A
 * crash leaves the old or the new file, and a draft that replay removes. The core holds a claim on
 * the volume during the revert.
 */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>

/*
 * Opens the directory of @volume's snapshots. Fails with NOT_FOUND for snapshot @name if it is
 * missing.
 */
static gboolean snapshot_dir_find(CstPoolState *state, const char *volume, const char *name,
                                  CstDirHandle *ret_target, CstDirShelf *ret_shelf, GError **error)
{
    if (!cst_dir_target_open(state, ret_target, error) ||
        !cst_dir_shelf_open(state, ret_target, volume, FALSE, ret_shelf, error))
        return FALSE;
    return ret_shelf->volume.fd >= 0 || cst_fail_no_snapshot(volume, name, error);
}

/* Opens the snapshot's file for reading. Returns -1 with @error on failure. */
static int snapshot_file_open(CstPoolState *state, const CstDirHandle *target, const char *volume,
                              const char *name, GError **error)
{
    g_auto(CstDirShelf) shelf = CST_DIR_SHELF_NONE;
    struct statx st;

    if (!cst_dir_shelf_open(state, target, volume, FALSE, &shelf, error))
        return -1;
    if (shelf.volume.fd < 0 ||
        (!cst_entry_stat(&shelf.volume, name, FALSE, &st) && errno == ENOENT)) {
        cst_fail_no_snapshot(volume, name, error);
        return -1;
    }
    return cst_entry_open_file(&shelf.volume, name, O_RDONLY, error);
}

/* --- listing ---------------------------------------------------------------------------------- */

/* A snapshot and its time of creation in nanoseconds. */
typedef struct {
    CstSnapshot *snapshot;
    int64_t ns;
} Found;

/*
 * Fills in *ret_found. Returns FALSE if the entry is gone or no file. The time of a snapshot is the
 * time of birth of the copy. If the file system records no birth, it is the last change of the
 * inode.
 */
static gboolean snapshot_file_describe(const CstDirHandle *dir, const char *name, Found *ret_found)
{
    g_autoptr(CstVolume) file = cst_dir_probe(NULL, dir, name, NULL);
    g_autofree char *record = NULL;
    CstSnapshot *snapshot;

    if (!file)
        return FALSE;
    snapshot = g_new0(CstSnapshot, 1);
    ret_found->snapshot = snapshot;
    ret_found->ns = file->btime_ns ? file->btime_ns : file->stamp.ctime_ns;
    snapshot->name = g_strdup(name);
    snapshot->created = ret_found->ns / G_GINT64_CONSTANT(1000000000);
    snapshot->capacity = file->capacity;
    snapshot->allocation = CST_SNAPSHOT_UNKNOWN;
    snapshot->problem = g_strdup(cst_volume_problem(file));
    record = cst_dir_record_read(dir, name);
    cst_snapshot_read_record(snapshot, record);
    return TRUE;
}

/* Snapshots of the same age are sorted by name. */
static int compare_age(gconstpointer a, gconstpointer b)
{
    const Found *left = a, *right = b;

    if (left->ns != right->ns)
        return left->ns < right->ns ? -1 : 1;
    return strcmp(left->snapshot->name, right->snapshot->name);
}

static gboolean dir_snapshot_list(CstPoolState *state, const char *volume, GPtrArray *snapshots,
                                  GError **error)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(Found));
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    g_auto(CstDirShelf) shelf = CST_DIR_SHELF_NONE;
    const struct dirent *entry;
    DIR *dir;
    int err;

    if (!cst_dir_target_open(state, &target, error) ||
        !cst_dir_shelf_open(state, &target, volume, FALSE, &shelf, error))
        return FALSE;
    if (shelf.volume.fd < 0)
        return TRUE;
    dir = cst_handle_list(&shelf.volume);
    if (!dir)
        return cst_fail_errno(error, errno, _("cannot list the snapshots of volume '%s'"), volume);
    for (errno = 0; (entry = readdir(dir)); errno = 0) {
        Found found;

        if (!cst_dir_name_hidden(entry->d_name) &&
            snapshot_file_describe(&shelf.volume, entry->d_name, &found))
            g_array_append_val(all, found);
    }
    err = errno;
    closedir(dir);
    g_array_sort(all, compare_age);
    for (guint i = 0; i < all->len; i++)
        g_ptr_array_add(snapshots, g_array_index(all, Found, i).snapshot);
    return !err ||
           cst_fail_errno(error, err, _("cannot list the snapshots of volume '%s'"), volume);
}

static gboolean dir_snapshot_volumes(CstPoolState *state, GHashTable *names, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    g_auto(CstDirHandle) all = CST_DIR_HANDLE_NONE;
    const struct dirent *entry;
    DIR *dir;
    int err;

    if (!cst_dir_target_open(state, &target, error) ||
        !cst_handle_open_own(&target, CST_SNAPSHOT_DIR, FALSE, &all, error))
        return FALSE;
    if (all.fd < 0)
        return TRUE;
    dir = cst_handle_list(&all);
    if (!dir)
        return cst_fail_errno(error, errno, _("cannot read dir '%s'"), all.path);
    for (errno = 0; (entry = readdir(dir)); errno = 0)
        g_hash_table_add(names, g_strdup(entry->d_name));
    err = errno;
    closedir(dir);
    return !err || cst_fail_errno(error, err, _("cannot read dir '%s'"), all.path);
}

/* --- revert ----------------------------------------------------------------------------------- */

/*
 * Gives the copy the current owner and mode of the volume, because the owner may have changed since
 * the snapshot. Drops set-id bits.
 */
static gboolean snapshot_copy_owner(int from, int to, const char *volume, GError **error)
{
    struct stat st;

    if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 ||
        fchmod(to, st.st_mode & 0777) < 0)
        return cst_fail_errno(error, errno, _("cannot set the owner of volume '%s'"), volume);
    return TRUE;
}

/*
 * Replaces the volume's file, which is open as @now, by the draft. Fails with DENIED if either name
 * refers to another file.
 */
static gboolean put_in_place(CstPoolState *state, const CstDirHandle *target, int now, int copy,
                             const char *draft, const char *volume, GError **error)
{
    if (!snapshot_copy_owner(now, copy, volume, error) || !cst_dir_copy_sync(copy, volume, error))
        return FALSE;
    if (!cst_entry_is(target, volume, now) || !cst_entry_is(target, draft, copy))
        return cst_fail(error, CST_ERROR_DENIED,
                        _("volume '%s' was replaced by another file during the revert; check who "
                          "may write to '%s'"),
                        volume, target->path);
    if (!cst_entry_rename_over(target, draft, volume))
        return cst_fail_errno(error, errno, _("cannot put a copy of volume '%s' in place"), volume);
    CST_CRASH_POINT("snapshot.draft.renamed");
    return cst_dir_names_sync(state, target, error);
}

/*
 * Replaces the whole file, so that the old content stays intact until the rename. Keeps the current
 * owner and mode.
 */
static gboolean dir_snapshot_revert(CstPoolState *state, const char *volume, const char *name,
                                    const GPtrArray *agreed, CstTask *task, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    g_autofree char *draft = NULL;
    g_auto(CstFd) from = -1;
    g_auto(CstFd) now = -1;
    g_auto(CstFd) copy = -1;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    from = snapshot_file_open(state, &target, volume, name, error);
    now = from < 0 ? -1 : cst_entry_open_file(&target, volume, O_RDONLY, error);
    if (now < 0)
        return FALSE;
    copy = cst_dir_copy_to_draft(from, &target, volume, &draft, error);
    if (copy < 0)
        return FALSE;
    cst_dir_copy_attributes(from, copy);
    if (put_in_place(state, &target, now, copy, draft, volume, error))
        return TRUE;
    cst_entry_remove(&target, draft, FALSE);
    return FALSE;
}

/* Removes the file. Clones of the snapshot share extents and do not depend on its file. */
static gboolean dir_snapshot_remove(CstPoolState *state, const char *volume, const char *name,
                                    CstTask *task, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    g_auto(CstDirShelf) shelf = CST_DIR_SHELF_NONE;

    if (!snapshot_dir_find(state, volume, name, &target, &shelf, error))
        return FALSE;
    CST_CRASH_POINT("snapshot.remove.before");
    if (!cst_entry_remove(&shelf.volume, name, FALSE)) {
        if (errno == ENOENT)
            return cst_fail_no_snapshot(volume, name, error);
        return cst_fail_errno(error, errno, _("cannot remove snapshot '%s' of volume '%s'"), name,
                              volume);
    }
    CST_CRASH_POINT("snapshot.remove.done");
    if (!cst_dir_sync(shelf.volume.fd, volume, error))
        return FALSE;
    cst_dir_shelf_tidy(&target, &shelf.all, volume);
    return TRUE;
}

static gboolean dir_snapshot_rename(CstPoolState *state, const char *volume, const char *name,
                                    const char *new_name, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    g_auto(CstDirShelf) shelf = CST_DIR_SHELF_NONE;

    if (!snapshot_dir_find(state, volume, name, &target, &shelf, error))
        return FALSE;
    if (cst_entry_rename_new(&shelf.volume, name, new_name))
        return cst_dir_sync(shelf.volume.fd, volume, error);
    if (errno == ENOENT)
        return cst_fail_no_snapshot(volume, name, error);
    if (errno == EEXIST)
        return cst_fail_snapshot_exists(volume, new_name, error);
    return cst_fail_errno(error, errno, _("cannot rename snapshot '%s' of volume '%s'"), name,
                          volume);
}

static CstBlob *dir_snapshot_open(CstPoolState *state, const char *volume, const char *name,
                                  GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    int fd;

    if (!cst_dir_target_open(state, &target, error))
        return NULL;
    fd = snapshot_file_open(state, &target, volume, name, error);
    return fd < 0 ? NULL : cst_blob_file_new(fd, name, FALSE, error);
}

/* Whether a file could not be made for a reason that is independent of the file system. */
static gboolean snapshot_probe_failed(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOMEM || err == EIO;
}

static gboolean dir_snapshot_can_make(CstPoolState *state, gboolean *ret_can, GError **error)
{
    g_auto(CstDirHandle) target = CST_DIR_HANDLE_NONE;
    g_auto(CstFd) from = -1, to = -1;

    if (!cst_dir_target_open(state, &target, error))
        return FALSE;
    from = cst_handle_create_nameless(&target);
    if (from >= 0)
        to = cst_handle_create_nameless(&target);
    if (to < 0 && snapshot_probe_failed(errno))
        return cst_fail_errno(error, errno, _("cannot create a file in '%s'"),
                              state->def->target_path);
    *ret_can = from >= 0 && to >= 0 && ioctl(to, FICLONE, from) == 0;
    return TRUE;
}

const CstSnapshotBackend cst_dir_snapshots = {
    .of_drafts = TRUE,
    .can_make = dir_snapshot_can_make,
    .list = dir_snapshot_list,
    .volumes = dir_snapshot_volumes,
    .create = cst_dir_snapshot_create,
    .draft_begin = cst_dir_snapshot_draft_begin,
    .draft_update = cst_dir_snapshot_draft_update,
    .draft_commit = cst_dir_snapshot_draft_commit,
    .draft_end = cst_dir_snapshot_draft_end,
    .revert = dir_snapshot_revert,
    .remove = dir_snapshot_remove,
    .rename = dir_snapshot_rename,
    .open = dir_snapshot_open,
};
