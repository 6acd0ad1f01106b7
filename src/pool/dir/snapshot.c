/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/uuid.h>

/*
 * Snapshots of files on a file system that shares extents: TARGET/.cistern-snapshots/VOLUME/NAME is
 * a reflink copy of the whole file, and the files that are there are all there is to know. A copy
 * being made has a draft's name and lock, so that what a dead process left is told from it.
 */

#define XATTR_LIST_MAX 65536

/* Opens the directory of @volume's snapshots. Missing: made with @make, else -1 without an
 * error. */
static gboolean open_dir(const CstPoolState *state, const char *volume, gboolean make, int *ret_fd,
                         GError **error)
{
    g_auto(CstFd) target = cst_dir_open_target(state, error);
    g_autofree char *path = g_build_filename(CST_SNAPSHOT_DIR, volume, NULL);

    *ret_fd = -1;
    if (target < 0)
        return FALSE;
    if (make && ((mkdirat(target, CST_SNAPSHOT_DIR, 0700) < 0 && errno != EEXIST) ||
                 (mkdirat(target, path, 0700) < 0 && errno != EEXIST)))
        return cst_fail_errno(error, errno, _("cannot create directory '%s/%s'"),
                              state->def->target_path, path);
    *ret_fd = openat(target, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*ret_fd < 0 && (make || errno != ENOENT))
        return cst_fail_errno(error, errno, _("cannot open directory '%s/%s'"),
                              state->def->target_path, path);
    return TRUE;
}

static gboolean missing(const char *volume, const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, _("volume '%s' has no snapshot '%s'"), volume,
                    name);
}

/* The snapshot's file, for reading; -1 with @error. */
static int open_snapshot(const CstPoolState *state, const char *volume, const char *name,
                         GError **error)
{
    g_auto(CstFd) dir = -1;
    int fd = -1;

    if (!open_dir(state, volume, FALSE, &dir, error))
        return -1;
    if (dir >= 0)
        fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && (dir < 0 || errno == ENOENT))
        missing(volume, name, error);
    else if (fd < 0)
        cst_fail_errno(error, errno, _("cannot open snapshot '%s' of volume '%s'"), name, volume);
    return fd;
}

/* --- listing ---------------------------------------------------------------------------------- */

/* A snapshot and when exactly it was taken. */
typedef struct {
    CstSnapshot *snapshot;
    int64_t ns;
} Found;

static gboolean describe(CstPoolState *state, int dir, const char *name, Found *ret_found)
{
    g_autoptr(CstVolume) file = cst_dir_look(state, dir, name);
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
    return TRUE;
}

static int compare_age(gconstpointer a, gconstpointer b)
{
    const Found *left = a, *right = b;

    if (left->ns != right->ns)
        return left->ns < right->ns ? -1 : 1;
    return strcmp(left->snapshot->name, right->snapshot->name);
}

static gboolean snapshot_list(CstPoolState *state, const char *volume, GPtrArray *snapshots,
                              GError **error)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(Found));
    const struct dirent *entry;
    int fd = -1;
    DIR *dir;

    if (!open_dir(state, volume, FALSE, &fd, error))
        return FALSE;
    if (fd < 0)
        return TRUE;
    dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return cst_fail_errno(error, errno, _("cannot list the snapshots of volume '%s'"), volume);
    }
    while ((entry = readdir(dir))) {
        Found found;

        if (!cst_dir_name_hidden(entry->d_name) && describe(state, fd, entry->d_name, &found))
            g_array_append_val(all, found);
    }
    closedir(dir);
    g_array_sort(all, compare_age);
    for (guint i = 0; i < all->len; i++)
        g_ptr_array_add(snapshots, g_array_index(all, Found, i).snapshot);
    return TRUE;
}

/* --- copying ---------------------------------------------------------------------------------- */

static gboolean share(int from, int to, const char *volume, GError **error)
{
    if (ioctl(to, FICLONE, from) == 0)
        return TRUE;
    if (errno == EOPNOTSUPP || errno == EXDEV || errno == EINVAL || errno == ENOTTY)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("volume '%s' can't have snapshots: its file system does not share "
                          "extents (XFS with reflink and Btrfs do), and of the formats only qcow2 "
                          "keeps snapshots inside of the image"),
                        volume);
    return cst_fail_errno(error, errno, _("cannot copy volume '%s'"), volume);
}

/* Labels, the word about the format, whatever else was attached: best effort but for the copy. */
static void copy_attributes(int from, int to)
{
    g_autofree char *names = g_malloc(XATTR_LIST_MAX);
    g_autofree char *value = g_malloc(XATTR_LIST_MAX);
    ssize_t len = flistxattr(from, names, XATTR_LIST_MAX);

    for (const char *name = names; len > 0 && name < names + len; name += strlen(name) + 1) {
        ssize_t size = fgetxattr(from, name, value, XATTR_LIST_MAX);

        if (size >= 0 && fsetxattr(to, name, value, (size_t)size, 0) < 0)
            continue; /* not ours to set */
    }
}

/* A locked draft in @dir that shares the content of @from; *ret_draft is its name. */
static int copy_to_draft(int from, int dir, const char *volume, char **ret_draft, GError **error)
{
    char token[CST_UUID_TEXT_LEN];
    g_autofree char *draft = NULL;
    g_auto(CstFd) fd = -1;
    CstUuid id;
    int copy;

    cst_uuid_generate(&id);
    draft = g_strconcat(CST_DRAFT_PREFIX, cst_uuid_format(&id, token), CST_DRAFT_SUFFIX, NULL);
    fd = openat(dir, draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot make a copy of volume '%s'"), volume);
        return -1;
    }
    cst_dir_lock_draft(fd);
    CST_CRASH_POINT("snapshot.draft.created");
    if (!share(from, fd, volume, error)) {
        unlinkat(dir, draft, 0);
        return -1;
    }
    copy_attributes(from, fd);
    *ret_draft = g_steal_pointer(&draft);
    copy = fd;
    fd = -1;
    return copy;
}

/* --- the changes ------------------------------------------------------------------------------ */

static gboolean settle(int fd, int dir, const char *draft, const char *name, unsigned how,
                       const char *volume, GError **error)
{
    if (fsync(fd) < 0)
        return cst_fail_errno(error, errno, _("cannot sync a copy of volume '%s'"), volume);
    CST_CRASH_POINT("snapshot.draft.synced");
    if (renameat2(dir, draft, dir, name, how) < 0) {
        if (errno == EEXIST)
            return cst_fail(error, CST_ERROR_EXISTS, _("volume '%s' has a snapshot '%s' already"),
                            volume, name);
        return cst_fail_errno(error, errno, _("cannot put a copy of volume '%s' in place"), volume);
    }
    CST_CRASH_POINT("snapshot.draft.renamed");
    return cst_dir_sync(dir, volume, error);
}

static gboolean snapshot_create(CstPoolState *state, const char *volume, const char *name,
                                const CstSnapshotCreate *how, CstTask *task, GError **error)
{
    g_auto(CstFd) target = cst_dir_open_target(state, error);
    g_autofree char *draft = NULL;
    g_auto(CstFd) dir = -1;
    g_auto(CstFd) from = -1;
    g_auto(CstFd) copy = -1;

    if (how->limit)
        return cst_fail(error, CST_ERROR_ARGUMENT_UNSUPPORTED,
                        _("snapshots of files have no size of their own"));
    if (target < 0)
        return FALSE;
    from = openat(target, volume, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return cst_fail_errno(error, errno, _("cannot open volume '%s'"), volume);
    if (!open_dir(state, volume, TRUE, &dir, error))
        return FALSE;
    copy = copy_to_draft(from, dir, volume, &draft, error);
    if (copy >= 0 && settle(copy, dir, draft, name, RENAME_NOREPLACE, volume, error))
        return TRUE;
    if (copy >= 0)
        unlinkat(dir, draft, 0);
    cst_dir_tidy_snapshots(target, volume);
    return FALSE;
}

static gboolean take_owner(int from, int to, const char *volume, GError **error)
{
    struct stat st;

    if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 ||
        fchmod(to, st.st_mode & 07777) < 0)
        return cst_fail_errno(error, errno, _("cannot set the owner of volume '%s'"), volume);
    return TRUE;
}

/* The volume's file is replaced whole; owner and mode are those that it has now. */
static gboolean snapshot_revert(CstPoolState *state, const char *volume, const char *name,
                                CstTask *task, GError **error)
{
    g_auto(CstFd) target = cst_dir_open_target(state, error);
    g_auto(CstFd) from = target < 0 ? -1 : open_snapshot(state, volume, name, error);
    g_autofree char *draft = NULL;
    g_auto(CstFd) now = -1;
    g_auto(CstFd) copy = -1;

    if (from < 0)
        return FALSE;
    now = openat(target, volume, O_RDONLY | O_CLOEXEC);
    if (now < 0)
        return cst_fail_errno(error, errno, _("cannot open volume '%s'"), volume);
    copy = copy_to_draft(from, target, volume, &draft, error);
    if (copy >= 0 && take_owner(now, copy, volume, error) &&
        settle(copy, target, draft, volume, 0, volume, error))
        return TRUE;
    if (copy >= 0)
        unlinkat(target, draft, 0);
    return FALSE;
}

static gboolean snapshot_remove(CstPoolState *state, const char *volume, const char *name,
                                CstTask *task, GError **error)
{
    g_auto(CstFd) target = cst_dir_open_target(state, error);
    g_auto(CstFd) dir = -1;

    if (target < 0 || !open_dir(state, volume, FALSE, &dir, error))
        return FALSE;
    if (dir < 0)
        return missing(volume, name, error);
    CST_CRASH_POINT("snapshot.remove.before");
    if (unlinkat(dir, name, 0) < 0) {
        if (errno == ENOENT)
            return missing(volume, name, error);
        return cst_fail_errno(error, errno, _("cannot remove snapshot '%s' of volume '%s'"), name,
                              volume);
    }
    CST_CRASH_POINT("snapshot.remove.done");
    cst_dir_tidy_snapshots(target, volume);
    return TRUE;
}

static gboolean snapshot_rename(CstPoolState *state, const char *volume, const char *name,
                                const char *new_name, GError **error)
{
    g_auto(CstFd) dir = -1;

    if (!open_dir(state, volume, FALSE, &dir, error))
        return FALSE;
    if (dir < 0)
        return missing(volume, name, error);
    if (renameat2(dir, name, dir, new_name, RENAME_NOREPLACE) == 0)
        return cst_dir_sync(dir, volume, error);
    if (errno == ENOENT)
        return missing(volume, name, error);
    if (errno == EEXIST)
        return cst_fail(error, CST_ERROR_EXISTS, _("volume '%s' has a snapshot '%s' already"),
                        volume, new_name);
    return cst_fail_errno(error, errno, _("cannot rename snapshot '%s' of volume '%s'"), name,
                          volume);
}

static CstBlob *snapshot_open(CstPoolState *state, const char *volume, const char *name,
                              GError **error)
{
    int fd = open_snapshot(state, volume, name, error);

    return fd < 0 ? NULL : cst_blob_file_new(fd, name, FALSE, error);
}

const CstSnapshotBackend cst_dir_snapshots = {
    .list = snapshot_list,
    .create = snapshot_create,
    .revert = snapshot_revert,
    .remove = snapshot_remove,
    .rename = snapshot_rename,
    .open = snapshot_open,
};

/* --- what is left over ------------------------------------------------------------------------ */

void cst_dir_tidy_snapshots(int target, const char *volume)
{
    g_autofree char *path = g_build_filename(CST_SNAPSHOT_DIR, volume, NULL);

    if (unlinkat(target, path, AT_REMOVEDIR) == 0)
        unlinkat(target, CST_SNAPSHOT_DIR, AT_REMOVEDIR);
}

void cst_dir_drop_snapshot_drafts(int target)
{
    DIR *dir = cst_dir_list(target, CST_SNAPSHOT_DIR);
    const struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir))) {
        g_auto(CstFd) below = -1;

        if (cst_dir_name_hidden(entry->d_name))
            continue;
        below = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (below >= 0)
            cst_dir_drop_dead(below);
        cst_dir_tidy_snapshots(target, entry->d_name);
    }
    closedir(dir);
}
