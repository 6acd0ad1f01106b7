/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <base/crash.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/uuid.h>
#include <image/hold.h>

#define DEFAULT_MODE     0600
#define DEFAULT_DIR_MODE 0711
#define FORMAT_XATTR     "user.cistern.format"

/* --- the word of whoever made a raw volume ---------------------------------------------------- */

static void mark_raw(int fd)
{
    if (fsetxattr(fd, FORMAT_XATTR, "raw", 3, 0) < 0 && errno != ENOTSUP)
        cst_log(CST_LOG_DEBUG, "cannot record the format of a raw volume: %s", g_strerror(errno));
}

void cst_dir_vol_replaced(CstPoolState *state, CstBlob *blob)
{
    if (fremovexattr(cst_blob_file_fd(blob), FORMAT_XATTR) < 0 && errno != ENOTSUP &&
        errno != ENODATA)
        cst_log(CST_LOG_DEBUG, "cannot forget the format of '%s': %s", blob->name,
                g_strerror(errno));
}

gboolean cst_dir_marked_raw(int fd)
{
    char value[4];

    return fgetxattr(fd, FORMAT_XATTR, value, sizeof(value)) == 3 && memcmp(value, "raw", 3) == 0;
}

/* --- drafts ----------------------------------------------------------------------------------- */

static char *draft_name(const char *token)
{
    return g_strconcat(CST_DRAFT_PREFIX, token, CST_DRAFT_SUFFIX, NULL);
}

static gboolean remove_draft(int dirfd, const char *name)
{
    return unlinkat(dirfd, name, 0) == 0 || errno == ENOENT ||
           (errno == EISDIR && unlinkat(dirfd, name, AT_REMOVEDIR) == 0);
}

gboolean cst_dir_lock_draft(int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = G_MAXINT64 - 1, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static void turn_cow_off(int fd)
{
    int attributes;

    if (ioctl(fd, FS_IOC_GETFLAGS, &attributes) == 0) {
        attributes |= FS_NOCOW_FL;
        if (ioctl(fd, FS_IOC_SETFLAGS, &attributes) < 0)
            cst_log(CST_LOG_DEBUG, "cannot turn copy-on-write off: %s", g_strerror(errno));
    }
}

static gboolean make_draft(const CstPoolState *state, int dirfd, const char *name,
                           const CstVolDef *def, CstBlob **ret_blob, GError **error)
{
    g_auto(CstFd) fd = -1;
    int blob_fd;

    if (def->type == CST_VOL_DIR) {
        if (mkdirat(dirfd, name, 0700) < 0)
            return cst_fail_errno(error, errno, _("cannot create path '%s/%s'"),
                                  state->def->target_path, def->name);
        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd >= 0 && cst_dir_set_owner(fd, def->name, &def->perms, error);
    }
    fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return cst_fail_errno(error, errno, _("Failed to create file '%s/%s'"),
                              state->def->target_path, def->name);
    cst_dir_lock_draft(fd);
    CST_CRASH_POINT("vol.reserve.created");
    if (def->nocow)
        turn_cow_off(fd);
    if (!cst_dir_set_owner(fd, def->name, &def->perms, error))
        return FALSE;
    blob_fd = fd;
    fd = -1;
    *ret_blob = cst_blob_file_new(blob_fd, def->name, TRUE, error);
    return *ret_blob != NULL;
}

/* What the new image is to point to must be there now; it is named, not opened. */
static gboolean check_backing(const CstVolDef *def, GError **error)
{
    if (!def->backing || !g_path_is_absolute(def->backing->path) ||
        access(def->backing->path, R_OK) == 0)
        return TRUE;
    return cst_fail_errno(error, errno, _("inaccessible backing store volume %s"),
                          def->backing->path);
}

gboolean cst_dir_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error)
{
    g_auto(CstFd) dirfd = cst_dir_open_target(state, error);
    g_autofree char *name = draft_name(draft->token);
    struct stat st;

    if (dirfd < 0 || !check_backing(def, error))
        return FALSE;
    if (fstatat(dirfd, def->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
    draft->zeroed = TRUE;
    if (make_draft(state, dirfd, name, def, &draft->blob, error))
        return TRUE;
    remove_draft(dirfd, name);
    return FALSE;
}

/* Renames without replacing; file systems that can't (some network ones) link and unlink. */
static gboolean rename_new(int dirfd, const char *from, const char *to)
{
    if (renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) == 0)
        return TRUE;
    if (errno != EINVAL && errno != ENOSYS)
        return FALSE;
    return linkat(dirfd, from, dirfd, to, 0) == 0 && unlinkat(dirfd, from, 0) == 0;
}

/* Content and mode of a finished draft; @fd is the file or the directory. */
static gboolean settle_draft(int fd, const CstVolDef *def, GError **error)
{
    mode_t mode = def->perms.mode == CST_PERMS_UNSET ? DEFAULT_MODE : def->perms.mode & 07777;

    if (def->type == CST_VOL_DIR && def->perms.mode == CST_PERMS_UNSET)
        mode = DEFAULT_DIR_MODE;
    else if (!def->format || strcmp(def->format, "raw") == 0)
        mark_raw(fd);
    if (fchmod(fd, mode) < 0)
        return cst_fail_errno(error, errno, _("cannot set mode of '%s' to %04o"), def->name, mode);
    if (fsync(fd) < 0)
        return cst_fail_errno(error, errno, _("cannot sync data to file '%s'"), def->name);
    return TRUE;
}

/*
 * The content is synced before the name appears, so that a volume is whole or not there. The
 * directory is not: a power cut within the file system's commit interval may undo the whole
 * operation, as it may with cp(1), and that costs less than a second sync for every volume made.
 */
gboolean cst_dir_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error)
{
    g_auto(CstFd) dirfd = cst_dir_open_target(state, error);
    g_autofree char *name = draft_name(draft->token);
    g_auto(CstFd) fd = -1;

    if (dirfd < 0)
        return FALSE;
    if (!draft->blob)
        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (!settle_draft(draft->blob ? cst_blob_file_fd(draft->blob) : fd, def, error))
        return FALSE;
    CST_CRASH_POINT("vol.commit.synced");
    if (!rename_new(dirfd, name, def->name)) {
        if (errno == EEXIST)
            return cst_fail(error, CST_ERROR_VOL_EXISTS, "'%s'", def->name);
        return cst_fail_errno(error, errno, _("Failed to create file '%s/%s'"),
                              state->def->target_path, def->name);
    }
    CST_CRASH_POINT("vol.commit.renamed");
    return TRUE;
}

gboolean cst_dir_vol_abandon(CstPoolState *state, const char *token, GError **error)
{
    g_autofree char *name = draft_name(token);
    g_auto(CstFd) dirfd = -1;

    if (strchr(token, '/'))
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' does not name a draft"), token);
    dirfd = cst_dir_open_target(state, error);
    if (dirfd < 0)
        return FALSE;
    if (!remove_draft(dirfd, name))
        return cst_fail_errno(error, errno, _("cannot unlink file '%s'"), name);
    return TRUE;
}

static void drop_if_dead(int dirfd, const char *name)
{
    g_auto(CstFd) fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if ((fd >= 0 && cst_dir_lock_draft(fd)) || (fd < 0 && errno == EISDIR)) {
        if (remove_draft(dirfd, name))
            cst_log(CST_LOG_INFO, "dropped the half-made volume '%s'", name);
    }
}

DIR *cst_dir_list(int dirfd, const char *name)
{
    g_auto(CstFd) fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir)
        fd = -1; /* closedir() closes it */
    return dir;
}

void cst_dir_drop_dead(int dirfd)
{
    DIR *dir = cst_dir_list(dirfd, ".");
    const struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir)))
        if (cst_dir_is_draft(entry->d_name))
            drop_if_dead(dirfd, entry->d_name);
    closedir(dir);
}

gboolean cst_dir_drop_drafts(CstPoolState *state, GError **error)
{
    g_auto(CstFd) target = cst_dir_open_target(state, error);

    if (target < 0)
        return FALSE;
    cst_dir_drop_dead(target);
    cst_dir_drop_snapshot_drafts(target);
    return TRUE;
}

/* --- existing volumes ------------------------------------------------------------------------- */

gboolean cst_dir_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    g_auto(CstFd) dirfd = -1;
    struct stat st = {0};

    if (!cst_flags_check(flags, 0, "virStorageBackendVolDeleteLocal", error))
        return FALSE;
    dirfd = cst_dir_open_target(state, error);
    if (dirfd < 0)
        return FALSE;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
        return cst_fail_errno(error, errno, _("cannot stat file '%s'"), name);
    CST_CRASH_POINT("vol.delete.before_unlink");
    if (unlinkat(dirfd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT) {
        if (S_ISDIR(st.st_mode))
            return cst_fail_errno(error, errno, _("cannot remove directory '%s/%s'"),
                                  state->def->target_path, name);
        return cst_fail_errno(error, errno, _("cannot unlink file '%s/%s'"),
                              state->def->target_path, name);
    }
    CST_CRASH_POINT("vol.delete.unlinked");
    return TRUE;
}

CstBlob *cst_dir_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error)
{
    g_auto(CstFd) dirfd = cst_dir_open_target(state, error);
    int fd;
    struct stat st;

    if (dirfd < 0)
        return NULL;
    fd = openat(dirfd, name, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        cst_fail_errno(error, errno, _("cannot open volume '%s/%s'"), state->def->target_path,
                       name);
        return NULL;
    }
    if (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
        cst_fail(error, CST_ERROR_INVALID, _("volume '%s' is neither a file nor a block device"),
                 name);
        close(fd);
        return NULL;
    }
    return cst_blob_file_new(fd, name, writable, error);
}

gboolean cst_dir_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error)
{
    /* What can't be opened, or is no file, has no locks that could be looked at. */
    g_autoptr(CstBlob) blob = cst_dir_vol_open(state, name, FALSE, NULL);
    int64_t pid = 0;

    if (!blob || !cst_image_is_open(blob, &pid))
        return TRUE;
    if (pid != 0)
        cst_holders_add(holders, pid, _("open in process %d"), (int)pid);
    else
        cst_holders_add(holders, 0, _("open in another process"));
    return TRUE;
}

/* --- watch ------------------------------------------------------------------------------------ */

#define WATCHED                                                                         \
    (IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)

int cst_dir_watch_open(CstPoolState *state, GError **error)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (fd >= 0 && inotify_add_watch(fd, state->def->target_path, WATCHED | IN_ONLYDIR) >= 0)
        return fd;
    cst_fail_errno(error, errno, _("cannot watch '%s'"), state->def->target_path);
    if (fd >= 0)
        close(fd);
    return -1;
}

void cst_dir_watch_read(CstPoolState *state, int fd,
                        void (*changed)(const char *name, gpointer data), gpointer data)
{
    char buf[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        for (char *p = buf; p < buf + n;) {
            const struct inotify_event *event = (const struct inotify_event *)p;

            p += sizeof(*event) + event->len;
            if (event->len == 0 || (event->mask & IN_Q_OVERFLOW))
                changed(NULL, data);
            else if (!cst_dir_name_hidden(event->name))
                changed(event->name, data);
        }
    }
}
